"""Which failures another attempt may not meet."""

import sqlite3

import pytest

from kinemill.errors import BadInput, Blocked, ProcessLost, TrainingFailed
from kinemill_dagster.resources.retryable import passes


class MlflowException(Exception):
    """By name and words what MLflow raises around SQLAlchemy."""


LOCKED = MlflowException("(sqlite3.OperationalError) database is locked [SQL: INSERT INTO ...]")


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (ProcessLost("training process", "was killed by signal 9"), True),
        (sqlite3.OperationalError("database is locked"), True),
        (LOCKED, True),
        (ConnectionResetError("by peer"), True),
        (TimeoutError("no answer"), True),
        (OSError(5, "Input/output error"), True),
        (OSError(28, "No space left on device"), False),
        (BadInput("run7.csv", "no column"), False),
        (Blocked("tiny", "blocked by 1 check"), False),
        (TrainingFailed("learn.optimizer.lr", "the loss is not finite"), False),
        (BadInput("notes.txt", "says 'database is locked', which is no log"), False),
        (ValueError("database is locked"), False),
        (MemoryError(), False),
    ],
)
def test_infrastructure_is_told_from_what_would_come_out_the_same(error, passing):
    assert passes(error) is passing


def test_what_an_error_came_from_counts():
    outer = RuntimeError("the step failed")
    outer.__cause__ = LOCKED
    assert passes(outer)
