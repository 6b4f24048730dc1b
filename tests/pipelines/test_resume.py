"""`kinemill run --resume`: goes on with the training that was killed, in two processes now."""

import os
import signal

import pytest

from kinemill.errors import BadInput
from kinemill_dagster.pipelines.run import run_chain
from tests.conftest import run_command
from tests.pipelines.conftest import TASK, messages_of_run
from tests.pipelines.test_training import start_run, training_of

LONG = {"learn.seed": 3, "learn.steps": 1500, "learn.save_every": 20, "learn.patience": None}
pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_resume_continues_an_interrupted_training_or_names_the_reason(copy):
    assert run_chain(TASK, resume=True).status == "unchanged"  # that training is over
    with pytest.raises(BadInput, match="no training of tiny was interrupted"):
        run_chain(TASK, LONG, resume=True)

    run = start_run(**LONG)
    training = training_of(run, copy.home)
    os.kill(training.pid, signal.SIGKILL)
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    with pytest.raises(BadInput, match=r"stopped after step \d+ had learn\.seed: 3 -> 4;"):
        run_chain(TASK, LONG | {"learn.seed": 4}, resume=True)

    requested = ["run", TASK, "--resume", "--set", "compute.type=torchrun"]
    for key, value in LONG.items():
        requested += ["--set", f"{key}={'null' if value is None else value}"]
    done = run_command(*requested)
    assert done.returncode == 0, done.stderr
    message = messages_of_run(copy.home)
    assert any(line.startswith("resuming from the checkpoint at step") for line in message)
