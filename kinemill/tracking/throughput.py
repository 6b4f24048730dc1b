"""Throughput of a training, and remaining time."""

import time
from collections import deque
from collections.abc import Callable

from kinemill.task.protocols import Progress

INTERVAL = 10.0  # s between lines of progress
_SHARE = 0.1  # share of the work that also triggers a line
_LEAST = 1.0  # s, minimum between two lines
_WINDOW = 20  # latest reports that determine the rate: the start is slow


class Pace:
    """Rate of progress over the latest reports."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._reports: deque[tuple[float, int]] = deque(maxlen=_WINDOW)

    def note(self, done: int) -> None:
        """Add a report of the amount done now."""
        if self._reports and done < self._reports[-1][1]:
            self._reports.clear()  # resumed from a checkpoint
        self._reports.append((self._clock(), done))

    @property
    def rate(self) -> float | None:
        """Items per second; None before the second report."""
        if len(self._reports) < 2:
            return None
        (began, first), (now, last) = self._reports[0], self._reports[-1]
        return (last - first) / (now - began) if now > began and last > first else None

    def time_left(self, total: int) -> float | None:
        """Return the remaining time at this rate, s; None if unknown."""
        rate = self.rate
        return None if rate is None else max(total - self._reports[-1][1], 0) / rate


class Throttle:
    """Filter of progress reports: one line per 10 s or 10 % of the work, and the last one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stage = ""
        self._at = 0.0
        self._done = 0

    def is_due(self, stage: str, done: int, total: int) -> bool:
        """Return whether to print the report of `done` of `total` items of a stage."""
        now = self._clock()
        if stage != self._stage or done < self._done:  # resumed from a checkpoint
            self._stage = stage
            self._at = now
            self._done = done
            return False
        waited = now - self._at
        grown = done - self._done
        is_milestone = grown >= _SHARE * total or done >= total
        is_due = waited >= INTERVAL or (waited >= _LEAST and is_milestone)
        if is_due:
            self._at = now
            self._done = done
        return is_due


def format_pace(pace: Pace, total: int, batch: int | None = None) -> str:
    """Format the throughput of a training: steps/s, windows/s, and the remaining time."""
    rate = pace.rate
    if rate is None:
        return ""
    seconds = pace.time_left(total)
    parts = [f"{_round(rate)} steps/s"]
    parts += [f"{_round(rate * batch)} windows/s"] if batch else []
    parts += [f"{clock(seconds)} left"] if seconds else []
    return ", ".join(parts)


def clock(seconds: float) -> str:
    """Format a duration in s as 0:07, 12:30 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration(seconds: float) -> str:
    """Return a duration in s as `7.1 s`, `3 min 20 s` or `2 h 5 min`."""
    if seconds < 60.0:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _round(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


class Paced:
    """A Progress that adds the throughput of a training.

    Args:
        progress: receives the reports.
        batch: windows per step; None if steps have no windows.
    """

    def __init__(self, progress: Progress, batch: int | None) -> None:
        self._progress, self._batch, self._pace = progress, batch, Pace()

    def log_message(self, message: str) -> None:
        """Forward a message."""
        self._progress.log_message(message)

    def advance(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Forward a report with the throughput."""
        self._pace.note(done)
        how = format_pace(self._pace, total, self._batch)
        self._progress.advance(stage, done, total, "; ".join(part for part in (how, note) if part))
