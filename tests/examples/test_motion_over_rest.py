"""The example that turns clips into a policy over REST, against a server whose runs are real."""

import subprocess
import time

import numpy as np
import onnxruntime
import pytest

from kinemill.runtime.policy_layout import OBSERVATION
from kinemill_dagster.pipelines.instance import open_instance
from tests.conftest import COMMAND
from tests.draft.test_motion import JOINTS, clip
from tests.examples.conftest import load_example
from tests.examples.test_training_scripts import statements
from tests.rest_server import ScriptedDagster, repository, serve


class RunningDagster(ScriptedDagster):
    """Runs the chain of a task in another process."""

    def launchRun(self, params):  # noqa: N802
        """Start the chain, and return the id of its run."""
        task = params["selector"]["assetSelection"][0]["path"][0]
        chain = subprocess.Popen([*COMMAND, "run", task], stderr=subprocess.DEVNULL)
        while not (runs := self.instance.get_runs(limit=1)):
            assert chain.poll() is None
            time.sleep(0.2)
        return {"__typename": "LaunchRunSuccess", "run": {"runId": runs[0].run_id}}


@pytest.mark.ci
def test_clips_become_an_onnx_file_over_rest(tracked_home, tmp_path, monkeypatch):
    (tmp_path / "clips").mkdir()
    (tmp_path / "tasks").mkdir()
    monkeypatch.setenv("KINEMILL_TASKS", str(tmp_path / "tasks"))
    for number, command in enumerate([(0.1, 0.3), (0.2, -0.2), (0.0, 0.1), (0.15, -0.4)]):
        clip(tmp_path / "clips" / f"walk_{number}.json", *command)
    to = tmp_path / "policy.onnx"
    with open_instance(tracked_home) as instance:
        dagster = RunningDagster(instance, [repository("l", "gait")])
        with serve(tracked_home, instance, dagster.query, pia="promoter") as (url, tokens):
            monkeypatch.setenv("KINEMILL_URL", url)
            monkeypatch.setenv("KINEMILL_TOKEN", tokens["pia"])
            run = load_example("motion_over_rest").main(
                "gait", str(tmp_path / "clips"), str(to), epochs=1
            )
    assert run["status"] == "completed"
    policy = onnxruntime.InferenceSession(to)
    inputs = {
        part.name: np.zeros([size if isinstance(size, int) else 1 for size in part.shape], "f4")
        for part in policy.get_inputs()
    }
    assert inputs[OBSERVATION].shape == (1, len(JOINTS) + 3)  # and the command
    assert policy.run(None, inputs)[0].shape == (1, len(JOINTS))
    assert statements("motion_over_rest") <= 30
