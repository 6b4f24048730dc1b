"""Offsets that float32 cannot hold: refused with the offset to set, which gives the same rows."""

from math import sin

import numpy as np
import pytest
import yaml

from kinemill.dataset import DatasetSummary, load_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.dataset.dry_run import dataset_problem
from kinemill.dataset.precision import coarse_channels, extent_of_rows, refuse_lost_motion
from kinemill.draft.builder import draft
from kinemill.errors import BadInput
from kinemill.ingest import stage as ingest
from kinemill.store.home import Home
from kinemill.task import Task, load_task
from kinemill.validate import stage as validate
from kinemill.validate.dry_run import dry_run
from tests.conftest import learning_task

NAMES = ("a.csv", "b.csv", "val.csv", "test.csv")


def sled(source=None, unit: str = "m") -> Task:
    """A sled on a soft spring, its position in `unit`; logged as `x`, `v` and `force`."""
    position = {"role": "state", "kind": "coordinate", "unit": unit, "source": source or "x"}
    velocity = {"role": "state", "unit": f"{unit}/s", "derivative_of": "position"}
    velocity["source"] = {"name": "v", "unit": "m/s"}
    force = {"role": "action", "unit": "N"}
    channels = {"position": position, "velocity": velocity, "force": force}
    return learning_task(
        "sled",
        0.02,
        channels,
        ingest={"min_file_age": 0.0, "format": "csv"},
        dataset={"validation": ["val*"], "test": ["test*"]},
    )


def write_logs(folder, offset: float) -> None:
    """Simulate x'' = force - 4 sin x by 1 ms steps, and log x + offset every 20 ms."""
    folder.mkdir()
    for number, name in enumerate(NAMES):
        random = np.random.default_rng(number)
        force = np.repeat(random.normal(0.0, 3.0, 40), 10)
        x, v, rows = 0.5, 0.0, list[str]()
        for step, push in enumerate(force.tolist()):
            rows.append(f"{0.02 * step:.2f},{x + offset:.6f},{v:.6f},{push:.6f}")
            for _ in range(20):
                v += 1e-3 * (push - 4.0 * sin(x))
                x += 1e-3 * v
        (folder / name).write_text("time,x,v,force\n" + "\n".join(rows) + "\n")


@pytest.fixture
def dataset_of(tmp_path):
    def make(task: Task, offset: float):
        home = Home(tmp_path / f"home-{offset:g}")
        folder = tmp_path / f"logs-{offset:g}"
        if not folder.exists():
            write_logs(folder, offset)
        recordings = ingest.run(task, home, folder).artifact.ref
        artifact = dataset_stage.run(task, home, validate.run(task, home, recordings).ref)
        return load_dataset(home, artifact.ref), DatasetSummary.of(artifact)

    return make


def test_an_offset_that_float32_cannot_hold_is_refused_with_what_to_set(dataset_of, tmp_path):
    offset = 4_500_000.0
    with pytest.raises(BadInput) as caught:
        dataset_of(sled(), offset)
    message = str(caught.value)
    assert "channels.position: lies at up to" in message
    assert "ONNX files, has steps of 0.5 m" in message
    assert not (tmp_path / f"home-{offset:g}" / "store" / "dataset").exists()
    spelled = message.split("`source: ")[1].split("`", maxsplit=1)[0]
    source = yaml.safe_load(spelled)
    assert source["name"] == "x"
    assert source["offset"] == pytest.approx(-offset, abs=10.0)
    coarse, summary = dataset_of(sled(source), offset)
    assert summary.coarse == []
    plain, _ = dataset_of(sled({"name": "x", "offset": source["offset"] + offset}), 0.0)
    # The logs have 6 digits after the point, rounded after the offset was added.
    for name in ("train", "validation", "test"):
        pairs = {item.name: item for item in plain.of(name)}
        for item in coarse.of(name):
            np.testing.assert_allclose(coarse.rows(item), plain.rows(pairs[item.name]), atol=1.1e-6)


def test_the_offset_to_set_is_in_the_unit_of_the_log(dataset_of):
    task = sled([{"name": "x", "unit": "m", "offset": 100.0}], unit="km")
    with pytest.raises(BadInput, match=r"unit: m, offset: -4\d{6}"):
        dataset_of(task, 4_500_000.0)


def test_a_draft_counts_a_channel_that_is_far_from_zero_from_a_place_near_it(tmp_path):
    write_logs(tmp_path / "logs", 4_500_000.0)
    (tmp_path / "sled.yaml").write_text(draft("sled", tmp_path / "logs"))
    task = load_task(tmp_path / "sled.yaml", {"ingest.min_file_age": 0.0})
    (source,) = task.channels["x"].source
    assert source.offset == pytest.approx(-4_500_000.0, abs=10.0)
    low, high = task.channels["x"].observed_range
    assert -100.0 < low < -1.0 < 1.0 < high < 100.0
    home = Home(tmp_path / "home")
    report = ingest.run(task, home, tmp_path / "logs")
    result = dataset_stage.run(task, home, validate.run(task, home, report.artifact.ref).ref)
    assert result.summary["coarse"] == []
    assert result.summary["statistics"]["x"]["std"] > 0.3


def test_a_dry_run_reports_the_same(tmp_path):
    for offset, said in ((4_500_000.0, "count it from 4500000 m"), (0.0, "")):
        write_logs(tmp_path / f"logs-{offset:g}", offset)
        home, accepted = Home(tmp_path / "home"), []
        dry_run(sled(), home, tmp_path / f"logs-{offset:g}", accepted)
        problem = dataset_problem(sled(), home, accepted, split=True)
        assert said in problem
        assert bool(problem) == bool(said)


def test_recordings_at_places_far_apart_are_refused_too(dataset_of, tmp_path):
    folder = tmp_path / "logs-4.5e+06"
    write_logs(folder, 4_500_000.0)
    with (folder / "a.csv").open() as file:
        rows = [line.strip().split(",") for line in file]
    moved = [[row[0], f"{float(row[1]) - 4e6:.6f}", *row[2:]] for row in rows[1:]]
    (folder / "a.csv").write_text("\n".join(",".join(row) for row in [rows[0], *moved]) + "\n")
    with pytest.raises(BadInput, match="of each recording from a value near it"):
        dataset_of(sled(), 4_500_000.0)


def test_a_coarse_channel_is_a_warning(dataset_of):
    """9000 m: float32 steps of 1 mm, and the sled moves by 4 cm from row to row."""
    _, summary = dataset_of(sled(), 2000.0)
    assert summary.coarse == []
    _, summary = dataset_of(sled(), 9000.0)
    assert summary.coarse[0].startswith("position: float32 has steps of 0.00098 m at 90")
    assert summary.coarse[0] in summary.warnings


def test_a_constant_with_rounding_noise_is_no_motion():
    noise = np.random.default_rng(0).normal(0.0, 1e-7, (100, 1))
    task = sled()
    refuse_lost_motion(task, extent_of_rows(["position"], 4.5e6 + noise))
    assert coarse_channels(task, extent_of_rows(["position"], np.full((50, 1), 4.5e6))) == []
