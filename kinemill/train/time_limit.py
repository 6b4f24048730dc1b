"""Time limit of a part of a training, checked between batches.

`with time_limit(seconds)` sets the limit, and `check_time()` in the loops of fits and measurements
raises `OutOfTime` after it. A training by gradients ends with its best weights so far instead.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from kinemill.errors import TrainingFailed

_END: ContextVar[float | None] = ContextVar("end", default=None)  # `time.monotonic()`, s


class OutOfTime(TrainingFailed):
    """A part of a training took longer than its limit."""


@contextmanager
def time_limit(seconds: float) -> Generator[None]:
    """Make `check_time` raise after `seconds`; an earlier limit of an outer context stays."""
    end = time.monotonic() + seconds
    outer = _END.get()
    token = _END.set(end if outer is None else min(end, outer))
    try:
        yield
    finally:
        _END.reset(token)


def is_time_over() -> bool:
    """Return whether the time limit is over; False without a limit."""
    end = _END.get()
    return end is not None and time.monotonic() > end


def check_time() -> None:
    """Check that the time limit of the context is not over, if one is set.

    Raises:
        OutOfTime: It is over.
    """
    if is_time_over():
        raise OutOfTime("time limit", "is over", fix="raise learn.budget")
