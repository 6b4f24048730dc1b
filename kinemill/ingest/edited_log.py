"""Edited log: read a log with the edits that hold for its recording.

Edits split the clock of the log; nothing is interpolated across such a split. A merge makes one log
of two, the second of which starts where the first one ends.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from kinemill.ingest.edits import Edit, EditChange, current_edits
from kinemill.ingest.membership import Member, find_member, keep_raw, raw_path
from kinemill.ingest.raw import TIME, RawLog, Reason, Signal, Unreadable, reason
from kinemill.ingest.topics import last_time, stamp_range, usual_distance
from kinemill.store import Json, digest, to_json_value
from kinemill.store.home import Home
from kinemill.task import Source, Task
from kinemill.task.units import factor

_LIKELY = 2.0  # factor by which the rates of two pieces of one recording may differ
ReadLogs = Callable[[Task, Path], list[RawLog]]  # reads the parts of a file


@dataclass(frozen=True)
class LogEdits:
    """The edits that hold for one recording, each once.

    Attributes:
        changes: in the order in which they are applied.
        merged: recordings that continue this one, in the order of time, by content hash.
    """

    changes: Sequence[EditChange] = ()
    merged: Mapping[str, "MergedLog"] = field(default_factory=dict[str, "MergedLog"])

    def __bool__(self) -> bool:
        return bool(self.changes)

    def to_json(self) -> list[Json]:
        """Return what the key of the recording has of them: no names, dates or authors."""
        listed: list[Json] = []
        for change in self.changes:
            values = to_json_value(replace(change, merged_name=""))
            if merged := self.merged.get(change.merged):
                values |= {"suffix": merged.member.suffix, "edits": merged.edits.to_json()}
            listed.append({key: value for key, value in values.items() if value not in ("", 0.0)})
        return listed

    def fetch(self, home: Home) -> None:
        """Check the stored bytes of merged recordings, and download missing ones.

        Raises:
            CorruptArtifact: The bytes of one are missing or damaged.
        """
        for merged in self.merged.values():
            keep_raw(home, merged.member, None)


@dataclass(frozen=True)
class MergedLog:
    """A recording that continues another one: its stored bytes and its own edits."""

    member: Member
    raw: Path
    edits: LogEdits


NO_EDITS = LogEdits()


def edits_of(home: Home, task: str, hash_: str) -> LogEdits:
    """Return the edits that hold for a recording."""
    current = current_edits(home, task)
    return resolve(home, task, current[hash_]) if hash_ in current else NO_EDITS


def edit_digests(home: Home, task: str) -> frozenset[tuple[str, str]]:
    """Return content hash and a digest of its edits for each recording that has some."""
    return frozenset(
        (hash_, digest(resolve(home, task, edits).to_json()))
        for hash_, edits in current_edits(home, task).items()
    )


def resolve(home: Home, task: str, edits: Sequence[Edit]) -> LogEdits:
    """Return the effect of edits of one recording.

    A merged recording that is no member any more is left out: its bytes were forgotten.
    """
    changes = dict[EditChange, None]()
    merged = dict[str, MergedLog]()
    for change in (edit.change for edit in edits if edit.change):
        if change.kind == "merge":
            member = find_member(home, task, change.merged)
            if member is None:
                continue
            edits_of_merged = edits_of(home, task, change.merged)
            merged[change.merged] = MergedLog(member, raw_path(home, member), edits_of_merged)
        changes.pop(change, None)
        changes[change] = None
    return LogEdits(tuple(changes), merged)


def read_edited(task: Task, raw: Path, edits: LogEdits, read: ReadLogs) -> list[RawLog]:
    """Read a log with its edits, and the recordings that are merged into it.

    Raises:
        Unreadable: An edit does not fit the log or the task, or the log cannot be read.
    """
    if not edits:
        return read(task, raw)
    logs = read(task, raw)
    for change in edits.changes:
        if change.kind == "merge":
            merged = edits.merged[change.merged]
            continuation = read_edited(task, merged.raw, merged.edits, read)
            logs = [_continue_log(logs, continuation, change, task)]
        else:
            logs = _cut(logs, change)
    return logs


def _cut(logs: list[RawLog], change: EditChange) -> list[RawLog]:
    """Return the parts of a log, one of them split or without a span of time."""
    names = [log.part for log in logs]
    if len(logs) > 1 and change.part not in names:
        problem = f"has no part {change.part!r}" if change.part else "has several parts"
        fix = f"name one with --part: {', '.join(names[:8])}"
        raise _bad_edit(change, f"the log {problem}", f"one of {len(names)} parts", fix)
    return [_cut_log(log, change) if change.part in {"", log.part} else log for log in logs]


def _cut_log(log: RawLog, change: EditChange) -> RawLog:
    """Return a log that is split, or without a span of time.

    Raises:
        Unreadable: The times are outside of the log.
    """
    end = last_time(log)
    if end is None:
        return log  # it could not be read; its reasons tell why
    start = change.start_s
    stop = change.stop_s if change.kind == "exclude" else change.start_s
    inside = 0.0 < start < end if change.kind == "split" else start <= end and stop >= 0.0
    if not inside or not math.isfinite(start + stop) or start > stop:
        expected = f"a time between 0 and {end:.6g} s, the length of the recording"
        fix = "name times in s since the first stamp, as `kinemill data view` draws them"
        problem = "the times are outside of the recording" if start <= stop else "it ends too early"
        raise _bad_edit(change, problem, expected, fix)
    if change.kind == "split":
        return replace(log, splits=[*log.splits, start])
    return replace(log, excluded=[*log.excluded, (start, stop)])


def _continue_log(
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


def _bad_edit(change: EditChange, problem: str, expected: str, fix: str) -> Unreadable:
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
    raise _bad_edit(change, f"{which} {problem}", "two logs of numbers with one clock each", fix)


def _check_channels(first: RawLog, second: RawLog, change: EditChange) -> None:
    fix = "merge logs of one recorder, in one format"
    if bool(first.signals) != bool(second.signals):
        expected = "two tables, or two logs of messages"
        raise _bad_edit(change, "one is a table and one has messages", expected, fix)
    first_names, second_names = ({*log.signals, *log.frame.columns} for log in (first, second))
    if first_names != second_names:
        differ = ", ".join(sorted(first_names ^ second_names))
        raise _bad_edit(change, f"only one of them has {differ}", "the same channels", fix)


def _check_clocks(first: RawLog, second: RawLog, change: EditChange) -> None:
    fix = "merge a log of the same recorder that starts after this one ends"
    if (first.ticks, _stamp_types(first)) != (second.ticks, _stamp_types(second)):
        clocks = [f"{log.ticks:g} ticks/s ({_stamp_types(log)})" for log in (first, second)]
        raise _bad_edit(change, f"clocks of {' and '.join(clocks)}", "two clocks of one kind", fix)
    gap = (stamp_range(second)[0] - stamp_range(first)[1]) / first.ticks
    if gap <= 0.0:
        problem = f"the other log starts {-gap:.6g} s before this one ends"
        raise _bad_edit(change, problem, "a clock that follows this one", fix)
    if gap > change.max_gap_s:
        problem = f"{gap:.6g} s without samples between both"
        allow = f"allow it with --max-gap {gap:.3g}, which starts a new track there"
        raise _bad_edit(change, problem, f"at most {change.max_gap_s:g} s", allow)
    steps = usual_distance(first), usual_distance(second)
    if min(steps) > 0.0 and not 1.0 / _LIKELY <= steps[1] / steps[0] <= _LIKELY:
        apart = f"usually {steps[0]:.3g} s apart, and {steps[1]:.3g} s in the other log"
        problem = f"stamps are {apart}"
        raise _bad_edit(change, problem, "about the same rate", fix)


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
