"""How a training in a process of its own says why it ended."""

import os

import pytest

from kinemill.errors import BadInput, ProcessLost, TrainingFailed, Unreachable
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
