"""Edited log: read a log with the edits that hold for its recording.

Edits split the clock of the log; nothing is interpolated across such a split.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from kinemill.ingest.continued_logs import bad_edit, continue_log
from kinemill.ingest.edits import Edit, EditChange, current_edits
from kinemill.ingest.membership import Member, find_member, keep_raw, raw_path
from kinemill.ingest.raw import RawLog
from kinemill.ingest.topics import last_time
from kinemill.store import Json, digest, to_json_value
from kinemill.store.home import Home
from kinemill.task import Task

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
            logs = [continue_log(logs, continuation, change, task)]
        else:
            logs = _cut(logs, change)
    return logs


def _cut(logs: list[RawLog], change: EditChange) -> list[RawLog]:
    """Return the parts of a log, one of them split or without a span of time."""
    names = [log.part for log in logs]
    if len(logs) > 1 and change.part not in names:
        problem = f"has no part {change.part!r}" if change.part else "has several parts"
        fix = f"name one with --part: {', '.join(names[:8])}"
        raise bad_edit(change, f"the log {problem}", f"one of {len(names)} parts", fix)
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
        raise bad_edit(change, problem, expected, fix)
    if change.kind == "split":
        return replace(log, splits=[*log.splits, start])
    return replace(log, excluded=[*log.excluded, (start, stop)])
