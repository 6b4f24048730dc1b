"""A model that diverges: the run ends with exit code 1 and one reason, and so does its rerun."""

import os

import pytest

from tests.conftest import run_command
from tests.pipelines.conftest import TASK

pytestmark = pytest.mark.e2e

POLYNOMIAL = ["learn.model={type: polynomial, degree: 4}", "learn.patience=null"]
STEPS = 100  # the rollouts of the model below diverge after about 30


def kinemill(*arguments):
    return run_command(*arguments, env={**os.environ, "COLUMNS": "200"})


def run(logs, *settings):
    return kinemill("run", TASK, "--logs", logs, *(f"--set={setting}" for setting in settings))


def lines_of(text):
    return [" ".join(line.split()) for line in text.splitlines()]


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


@pytest.mark.slow
def test_model_with_diverging_rollouts_is_refused_and_the_rerun_repeats_the_reason(workspace, logs):
    """Four steps of training stay finite; the rollouts of the verification do not."""
    settings = [*POLYNOMIAL, "learn.optimizer.lr=0.7", "learn.steps=15", f"verify.horizon={STEPS}"]
    first = run(logs, *settings)
    assert first.returncode == 1, first.stderr
    again = run(logs, *settings)
    message = [lines_of(done.stdout) for done in (first, again)]
    assert f"{TASK}: refused" in message[0]
    assert f"{TASK}: unchanged" in message[1]
    for done, lines in zip((first, again), message, strict=True):
        assert "Traceback" not in done.stderr + done.stdout
        (gate,) = [line for line in lines if line.startswith("gate refused: ")]
        assert gate.endswith("verified")
        (reason,) = [line for line in lines if line.startswith("diverges ")]
        assert " are not finite from " in reason
        assert any(line.startswith("nrmse not finite ") for line in lines)
        (measured,) = [line for line in lines if line.startswith("measured no ")]
        assert measured.endswith(": rollouts diverge a finite error")
    (version,) = [
        line for line in lines_of(kinemill("model", "list", TASK).stdout) if "refused:" in line
    ]
    assert " not finite refused: measured, " in version
