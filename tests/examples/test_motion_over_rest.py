"""The example that turns clips into a policy over REST, against a server whose runs are real."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Queue

import numpy as np
import pytest

from kinemill import runtime
from kinemill_dagster.pipelines.instance import open_instance
from tests.conftest import run_here
from tests.draft.test_motion import JOINTS, clip
from tests.examples.conftest import load_example
from tests.examples.test_training_scripts import code_lines
from tests.rest_server import ScriptedDagster, repository, serve


@dataclass
class RunningDagster(ScriptedDagster):
    """Hands a task to the test, which runs its chain.

    Attributes:
        tasks: whose run was requested.
    """

    tasks: Queue = field(default_factory=Queue)

    def launchRun(self, params):  # noqa: N802
        """Wait for the chain to start, and return the id of its run."""
        self.tasks.put(params["selector"]["assetSelection"][0]["path"][0])
        while not (runs := self.instance.get_runs(limit=1)):
            time.sleep(0.1)
        return {"__typename": "LaunchRunSuccess", "run": {"runId": runs[0].run_id}}


@pytest.mark.ci
def test_clips_become_an_onnx_file_over_rest(tracked_home, tmp_path, monkeypatch):
    (tmp_path / "clips").mkdir()
    (tmp_path / "tasks").mkdir()
    monkeypatch.setenv("KINEMILL_TASKS", str(tmp_path / "tasks"))
    for number, command in enumerate([(0.1, 0.3), (0.2, -0.2), (0.0, 0.1), (0.15, -0.4)]):
        clip(tmp_path / "clips" / f"walk_{number}.json", *command)
    files = str(tmp_path / "clips"), str(tmp_path / "policy.onnx")
    script = load_example("motion_over_rest").main
    with open_instance(tracked_home) as instance, ThreadPoolExecutor() as threads:
        dagster = RunningDagster(instance, [repository("l", "gait")])
        with serve(tracked_home, instance, dagster.query, pia="promoter") as (url, tokens):
            monkeypatch.setenv("KINEMILL_URL", url)
            monkeypatch.setenv("KINEMILL_TOKEN", tokens["pia"])
            script_run = threads.submit(script, "gait", *files, epochs=1)
            run_here("run", dagster.tasks.get(timeout=300.0))
            run = script_run.result(300.0)
    assert run["status"] == "completed"
    policy = runtime.load(files[1])
    assert policy.actions == tuple(f"{joint}_target" for joint in JOINTS)
    assert policy.act(np.zeros(len(policy.observation))).shape == (len(JOINTS),)
    assert code_lines("motion_over_rest") <= 30
