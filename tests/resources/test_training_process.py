"""How a training in a separate process says why it ended."""

import os

import pytest

from kinemill.errors import BadInput, ProcessLost, TrainingFailed, Unreachable
from kinemill_dagster.resources.compute.local import _failure
from kinemill_dagster.resources.training_process import _exit_code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProcessLost("process 7 of learn.runner", "has ended"), os.EX_TEMPFAIL),
        (Unreachable("s3://mill", "does not answer"), os.EX_TEMPFAIL),
        (TrainingFailed("step 3", "loss nan"), 3),
        (BadInput("learn.start_from", "is no model"), 2),
    ],
)
def test_only_what_another_attempt_may_do_ends_as_passing(error, code, capsys):
    def fail():
        raise error

    assert _exit_code(fail) == code
    assert capsys.readouterr().err == f"{error}\n"
    assert _exit_code(lambda: None) == 0


def test_a_training_that_needs_more_than_there_is_says_what_to_set(tmp_path):
    """Exit code 2: the same message as in the process, and no promise that a rerun helps."""
    log = tmp_path / "training.log"
    log.write_text("a warning of a library\nlearn.threads: is 64; this machine has 2 cores\n")
    failure = _failure(2, log)
    assert (type(failure), failure.where) == (BadInput, "learn.threads")
    assert str(failure) == "learn.threads: is 64; this machine has 2 cores"
    log.write_text("")
    assert isinstance(_failure(2, log), TrainingFailed)
