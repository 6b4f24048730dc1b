"""`kinemill model rollout` of a policy: its logs, the same for any workers, and videos."""

from functools import partial

import av
import polars as pl
import pytest
import yaml

from benchmarks._balance import DT
from benchmarks._policies import Gains
from kinemill.api.rollouts import model_address
from kinemill.errors import BadInput
from kinemill.ingest import stage as ingest
from kinemill.task import load_task

TASK = {
    "task": "balancing",
    "dt": DT,
    "channels": {
        "position": {"role": "state", "unit": "m"},
        "angle": {"role": "state", "unit": "rad"},
        "velocity": {"role": "state", "unit": "m/s"},
        "force": {"role": "action", "unit": "N", "limits": [-10, 10]},
    },
    "ingest": {"min_file_age": 0},
    "learn": {"type": "imitation", "model": {"type": "mlp"}},
    "environment": {
        "type": "python",
        "path": "benchmarks._balance:Balance",
        "steps": 30,
        "variants": {"tilted": {}},
    },
}


@pytest.fixture
def path(tmp_path):
    (tmp_path / "balancing.yaml").write_text(yaml.safe_dump(TASK))
    return tmp_path / "balancing.yaml"


@pytest.fixture
def rollout(home, path, kinemill):
    """Roll out a policy in the task's environment; return the document."""
    return partial(kinemill, "model", "rollout", path, "--json")


def test_episodes_are_logs_that_ingest_reads(home, path, rollout, policy_folders):
    result = rollout("--model", policy_folders[Gains], "--episodes", 3, "--video")
    assert [episode["seed"] for episode in result["episodes"]] == [0, 1, 2]
    assert (result["return"], result["success"]) == (30.0, 1.0)
    task = load_task(path)
    report = ingest.run(task, home, home.logs("balancing"))
    assert [entry["outcome"] for entry in report.files] == ["episodes"] * 3
    assert [entry["rows"] for entry in report.files] == [30] * 3
    assert len(result["videos"]) == 3
    with av.open(result["videos"][0]) as film:
        (stream,) = film.streams.video
        frames = list(film.decode(stream))
        assert len(frames) == 31  # of 0.6 s, each of the environment's
        assert frames[-1].time == pytest.approx(30 * DT, abs=1e-3)
        assert stream.codec_context.name == "h264"


@pytest.mark.slow
def test_any_number_of_workers_writes_the_same_bytes(rollout, policy_folders, tmp_path):
    for workers in (1, 3):
        to = "--workers", workers, "--to", tmp_path / str(workers)
        rollout("--model", policy_folders[Gains], "--episodes", 4, *to)
    one, three = ({p.name: p.read_bytes() for p in (tmp_path / n).iterdir()} for n in "13")
    assert one == three


def test_a_version_has_a_short_name():
    assert model_address("reach", "champion") == "models:/reach@champion"
    assert model_address("reach", "@challenger") == "models:/reach@challenger"
    assert model_address("reach", ":3") == "models:/reach/3"
    assert model_address("reach", "/tmp/reach") == "/tmp/reach"


def test_what_is_of_controllers_is_refused(rollout):
    with pytest.raises(BadInput, match="--seconds: applies to controllers"):
        rollout("--seconds", 3)


def test_rollout_without_a_version_runs_random_zero_and_own_policies(rollout, tmp_path):
    file = tmp_path / "heuristic.py"
    file.write_text(
        "import numpy as np\n"
        "class Lean:\n"
        "    def act(self, observation):\n"
        "        return np.array([5.0 * observation[1]], np.float32)\n"
    )
    forces = {}
    for name in ("random", "zero", f"{file}:Lean"):
        result = rollout("--policy", name, "--episodes", 2, "--to", tmp_path / "logs")
        assert result["model"] == name
        forces[name] = pl.read_csv(result["episodes"][0]["file"])["force"].abs().max()
    assert forces["zero"] == 0.0
    assert forces["random"] > 1.0 > forces[f"{file}:Lean"] > 0.0
    with pytest.raises(BadInput, match="expected random, zero, module:Class"):
        rollout("--policy", "best")
