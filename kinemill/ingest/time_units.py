"""Stamps in another unit than the task says: rows a thousand times too far apart, or too close."""

from kinemill.ingest.raw import RawLog, Reason, reason
from kinemill.task import Task

_TICKS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_LIKELY = 10.0  # times the time step, or a part of it, that rows of a log are apart
_FAR = 100.0  # times that in doubt: so much faster or slower than its task no log has to be


def likely_unit(step: float, ticks: float, dt: float) -> str | None:
    """Return the unit in which stamps would lie about `dt` apart, or None if they may as they are.

    Args:
        step: how far apart they are as they were read, s.
        ticks: units per second that they were read with.
        dt: the task's time step, s.
    """
    if not step or 1.0 / _LIKELY < step / dt < _LIKELY:
        return None
    for unit, other in _TICKS.items():
        if other != ticks and 1.0 / _LIKELY < step * ticks / other / dt < _LIKELY:
            return unit
    return None


def doubtful_unit(log: RawLog, step: float, task: Task) -> list[Reason]:
    """Return a reason if the stamps of a table seem to be in another unit; it only tells.

    Args:
        log: with stamps of its own, not with a rate.
        step: usual distance of two stamps as they were read, s.
        task: says in which unit they were read.
    """
    unit = likely_unit(step, log.ticks, task.dt)
    own = not log.signals and log.ticks == task.ingest.ticks
    if unit is None or not own or 1.0 / _FAR < step / task.dt < _FAR:
        return []
    return [
        reason(
            "time_unit",
            "whole log",
            f"stamps are usually {step:.3g} s apart, as if in {unit} and read as "
            f"{task.ingest.time_unit}",
            expected=f"about the time step of {task.dt:g} s",
            fix=f"if they are in {unit}, say so at `ingest.time_unit`",
        )
    ]
