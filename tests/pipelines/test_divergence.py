"""A model that diverges: the run ends with exit code 1 and one reason, and so does its rerun."""

import os

import pytest

from tests.conftest import run_command
from tests.pipelines.conftest import TASK

pytestmark = pytest.mark.e2e

POLYNOMIAL = ["learn.model={type: polynomial, degree: 4}", "learn.patience=null"]


def kinemill(*arguments):
    return run_command(*arguments, env={**os.environ, "COLUMNS": "200"})


def run(logs, *settings):
    return kinemill("run", TASK, "--logs", logs, *(f"--set={setting}" for setting in settings))


@pytest.mark.slow
def test_diverging_training_is_reported_by_its_rerun(workspace, logs):
    """The training is a child process, whose error comes through its exit code and its log."""
    for _ in range(2):
        done = run(logs, *POLYNOMIAL, "learn.optimizer.lr=1000")
        assert done.returncode == 1, done.stderr
        assert "Traceback" not in done.stderr
        reasons = [line for line in done.stderr.splitlines() if "expected finite numbers" in line]
        assert len(reasons) == 1
        assert done.stderr.splitlines()[-1] == reasons[0]
        assert reasons[0].startswith("training process: step 1, channel ")
        assert "lower learn.optimizer.lr (1e+03)" in reasons[0]
        assert done.stdout == ""
    assert "not finite" not in kinemill("model", "list", TASK).stdout  # none was registered
