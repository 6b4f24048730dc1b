"""Throughput of a training, and the time left."""

import time
from collections import deque
from collections.abc import Callable

from kinemill.task.protocols import Progress

EVERY = 10.0  # s after which a line of progress is due
_SHARE = 0.1  # of the work, after which one is due as well
_LEAST = 1.0  # s between two lines
_WINDOW = 20  # of the latest reports, that the pace is taken from: beginnings are slow


class Pace:
    """How fast something goes on, from its latest reports alone.

    Args:
        clock: s.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._reports: deque[tuple[float, int]] = deque(maxlen=_WINDOW)

    def note(self, done: int, at: float | None = None) -> None:
        """Take in how much is done, now or at another time of the clock, s."""
        if self._reports and done < self._reports[-1][1]:
            self._reports.clear()  # it went back to a checkpoint
        self._reports.append((self._clock() if at is None else at, done))

    @property
    def rate(self) -> float | None:
        """Pieces a second; None before the second report."""
        if len(self._reports) < 2:
            return None
        (began, first), (now, last) = self._reports[0], self._reports[-1]
        return (last - first) / (now - began) if now > began and last > first else None

    def time_left(self, total: int) -> float | None:
        """Return how long the rest takes at this pace, s; None where that is not known."""
        rate = self.rate
        return None if rate is None else max(total - self._reports[-1][1], 0) / rate


class Throttle:
    """Which reports of progress become lines: one each 10 s or 10 % of the work, and the last one.

    Args:
        clock: s.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stage = ""
        self._at, self._done = 0.0, 0

    def is_due(self, stage: str, done: int, total: int) -> bool:
        """Tell whether the report that `done` of `total` pieces of a stage are done is a line."""
        now = self._clock()
        if stage != self._stage or done < self._done:  # it went back to a checkpoint
            self._stage, self._at, self._done = stage, now, done
            return False
        waited, grown = now - self._at, done - self._done
        is_milestone = grown >= _SHARE * total or done >= total
        is_due = waited >= EVERY or (waited >= _LEAST and is_milestone)
        if is_due:
            self._at, self._done = now, done
        return is_due


def format_pace(pace: Pace, total: int | None, batch: int | None = None) -> str:
    """Say how fast a training goes: steps and windows a second, and the time left.

    Args:
        pace: of its steps.
        total: steps it is to make; None: not known.
        batch: windows a step; None: not known.
    """
    rate = pace.rate
    if rate is None:
        return ""
    seconds = pace.time_left(total) if total else None
    parts = [f"{_round(rate)} steps/s"]
    parts += [f"{_round(rate * batch)} windows/s"] if batch else []
    parts += [f"{clock(seconds)} left"] if seconds else []
    return ", ".join(parts)


def clock(seconds: float) -> str:
    """Spell a time as 0:07, 12:30 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _round(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


class Paced:
    """A Progress that also tells how fast a training goes.

    Args:
        progress: who is told.
        batch: windows a step; None: steps are no windows.
    """

    def __init__(self, progress: Progress, batch: int | None) -> None:
        self._progress, self._batch, self._pace = progress, batch, Pace()

    def say(self, message: str) -> None:
        """Hand a message on."""
        self._progress.say(message)

    def advance(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Hand on how far the training is, and how fast it goes."""
        self._pace.note(done)
        how = format_pace(self._pace, total, self._batch)
        self._progress.advance(stage, done, total, "; ".join(part for part in (how, note) if part))
