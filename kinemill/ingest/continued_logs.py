"""Continued logs: one log of two files, the second of which starts where the first one ends."""

from dataclasses import replace

import numpy as np
import polars as pl

from kinemill.ingest.edits import EditChange
from kinemill.ingest.raw import TIME, RawLog, Reason, Signal, Unreadable, reason
from kinemill.ingest.topics import stamp_range, usual_distance
from kinemill.task import Source, Task
from kinemill.task.units import factor

_LIKELY = 2.0  # factor by which the rates of two pieces of one recording may differ


def continue_log(
    logs: list[RawLog], continuation: list[RawLog], change: EditChange, task: Task
) -> RawLog:
    """Return one log with the samples of two, in the order of time.

    Values are converted where both logs hold a channel in different units.

    Args:
        logs: the parts of the first log; one.
        continuation: the parts of the log that continues it; one.
        change: the edit that merges them, with the longest allowed gap.
        task: names the channels and their units.

    Raises:
        Unreadable: The logs do not fit: parts, channels, clocks, rates, or the gap between them.
    """
    first = _only_part(logs, "this log", change)
    second = _only_part(continuation, "the other", change)
    _check_channels(first, second, change)
    _check_clocks(first, second, change)
    first, second = _same_units(first, second, task)
    shift = (stamp_range(second)[0] - stamp_range(first)[0]) / first.ticks
    return replace(
        first,
        frame=pl.concat([first.frame, second.frame.select(first.frame.columns)], rechunk=True),
        signals=_joined(first, second),
        dropped_rows=first.dropped_rows + second.dropped_rows,
        reasons=[*first.reasons, *second.reasons],
        breaks=[*first.breaks, *second.breaks],
        splits=[*first.splits, *(time + shift for time in second.splits)],
        excluded=[*first.excluded, *((a + shift, b + shift) for a, b in second.excluded)],
    )


def bad_edit(change: EditChange, problem: str, expected: str, fix: str) -> Unreadable:
    """Return the error of an edit that does not fit a log."""
    text = f"the edit to {change.spell()}: {problem}"
    return Unreadable(reason("edit", "log", text, expected=expected, fix=fix))


def _only_part(logs: list[RawLog], which: str, change: EditChange) -> RawLog:
    if len(logs) == 1 and not logs[0].media and (logs[0].signals or logs[0].frame.height):
        return logs[0]
    problem = "has images or texts" if len(logs) == 1 and logs[0].media else "has several parts"
    if len(logs) == 1 and not logs[0].media:
        reasons: list[Reason] = logs[0].reasons
        problem = f"has no rows{': ' + str(reasons[0]['found']) if reasons else ''}"
    fix = "keep both as recordings of their own"
    raise bad_edit(change, f"{which} {problem}", "two logs of numbers with one clock each", fix)


def _check_channels(first: RawLog, second: RawLog, change: EditChange) -> None:
    fix = "merge logs of one recorder, in one format"
    if bool(first.signals) != bool(second.signals):
        expected = "two tables, or two logs of messages"
        raise bad_edit(change, "one is a table and one has messages", expected, fix)
    first_names, second_names = ({*log.signals, *log.frame.columns} for log in (first, second))
    if first_names != second_names:
        differ = ", ".join(sorted(first_names ^ second_names))
        raise bad_edit(change, f"only one of them has {differ}", "the same channels", fix)


def _check_clocks(first: RawLog, second: RawLog, change: EditChange) -> None:
    fix = "merge a log of the same recorder that starts after this one ends"
    if (first.ticks, _stamp_types(first)) != (second.ticks, _stamp_types(second)):
        clocks = [f"{log.ticks:g} ticks/s ({_stamp_types(log)})" for log in (first, second)]
        raise bad_edit(change, f"clocks of {' and '.join(clocks)}", "two clocks of one kind", fix)
    gap = (stamp_range(second)[0] - stamp_range(first)[1]) / first.ticks
    if gap <= 0.0:
        problem = f"the other log starts {-gap:.6g} s before this one ends"
        raise bad_edit(change, problem, "a clock that follows this one", fix)
    if gap > change.max_gap_s:
        problem = f"{gap:.6g} s without samples between both"
        allow = f"allow it with --max-gap {gap:.3g}, which starts a new track there"
        raise bad_edit(change, problem, f"at most {change.max_gap_s:g} s", allow)
    steps = usual_distance(first), usual_distance(second)
    if min(steps) > 0.0 and not 1.0 / _LIKELY <= steps[1] / steps[0] <= _LIKELY:
        apart = f"usually {steps[0]:.3g} s apart, and {steps[1]:.3g} s in the other log"
        problem = f"stamps are {apart}"
        raise bad_edit(change, problem, "about the same rate", fix)


def _stamp_types(log: RawLog) -> str:
    times = [signal.time for signal in log.signals.values()] or [log.frame[TIME]]
    return ", ".join(sorted({str(time.dtype) for time in times}))


def _same_units(first: RawLog, second: RawLog, task: Task) -> tuple[RawLog, RawLog]:
    """Return both logs with equal sources: converted where these differ in more than the name."""
    keys = ("unit", "scale", "offset")
    differ = [
        name
        for name, source in first.sources.items()
        if any(getattr(source, key) != getattr(second.sources[name], key) for key in keys)
    ]
    return _converted(first, differ, task), _converted(second, differ, task)


def _converted(log: RawLog, names: list[str], task: Task) -> RawLog:
    """Return a log with some channels in the unit of the task."""
    frame = log.frame
    signals = dict(log.signals)
    sources = dict(log.sources)
    for name in names:
        source = log.sources[name]
        unit = task.channels[name].unit
        scale, offset = factor(source.unit, unit) if source.unit else (1.0, 0.0)
        if name in signals:
            values = signals[name].values * source.scale + source.offset
            signals[name] = replace(signals[name], values=values * scale + offset)
        else:
            logged = pl.col(name) * source.scale + source.offset
            frame = frame.with_columns(logged * scale + offset)
        sources[name] = Source(name=name, unit=unit)
    return replace(log, frame=frame, signals=signals, sources=sources)


def _joined(first: RawLog, second: RawLog) -> dict[str, Signal]:
    """Return the signals of both logs, one after the other; those of a topic share their clock."""
    orders = [int(s.order.max(initial=-1)) for s in first.signals.values() if s.order is not None]
    shift = max(orders, default=-1) + 1
    clocks = dict[tuple[int, int], pl.Series]()
    signals = dict[str, Signal]()
    for name, signal in first.signals.items():
        continuation = second.signals[name]
        key = (id(signal.time), id(continuation.time))
        time = clocks.setdefault(key, pl.concat([signal.time, continuation.time]))
        order = None
        if signal.order is not None and continuation.order is not None:
            order = np.concatenate([signal.order, continuation.order + shift])
        signals[name] = Signal(time, pl.concat([signal.values, continuation.values]), order)
    return signals
