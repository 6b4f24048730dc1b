"""PX4 ULog: topics of a flight controller, each at its own rate.

A field is named `topic.field[i]`, one of a further instance `topic[1].field[i]`. Timestamps are µs
since the start of the controller (`timestamp`, unless `ingest.time` names another field). A
dropout in the log splits it; a cut file is used and reported.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from kinemill.ingest.clock import Rows
from kinemill.ingest.raw import (
    MAX_LISTED,
    RawLog,
    Reader,
    Reason,
    Signal,
    Unreadable,
    match_columns,
    reason,
)
from kinemill.ingest.readers._attributes import texts
from kinemill.ingest.readers._ulog import (
    MAGIC,
    TICKS,
    Contents,
    Fields,
    Topic,
    fields_of,
    read_column,
    read_records,
    whole_file,
)
from kinemill.task import Task
from kinemill.task.plugins import READERS

STAMP = "timestamp"
NEVER = 1 << 63  # µs; a larger timestamp is damaged


@dataclass(frozen=True)
class _Records:
    """The intact records of one topic: their positions (n,) and content.

    Stale records have timestamps before the start of the log: the logger includes the last message
    of each topic, however old.
    """

    name: str
    fields: Fields
    at: Rows
    time: pl.Series
    order: Rows
    short: int  # number of records that are smaller than their type
    stale: int

    def values(self, name: str, data: bytes) -> pl.Series:
        kind, offset = self.fields[name]
        return pl.Series(read_column(data, self.at + offset, kind).astype(np.float64))


def read(path: Path, task: Task) -> RawLog:
    """Read one ULog file, with fields matched by `topic.field`; timestamps are in µs.

    Raises:
        Header: The task has no channels.
        Unreadable: The file is not a ULog file, holds no data, or lacks a requested field.
    """
    data = path.read_bytes()
    contents = read_records(data)
    layouts = {
        name: fields_of(topic.name, contents.formats)
        for name, topic in contents.topics.items()
        if topic.at
    }
    if not layouts:
        raise Unreadable(whole_file("holds no data"))
    header = {f"{name}.{own}": (name, own) for name, (own_, _) in layouts.items() for own in own_}
    columns = match_columns(list(header), task, rate=TICKS)
    fields = {channel: header[source.name] for channel, source in columns.sources.items()}
    topics = {
        name: _records(contents.topics[name], layouts[name], data, task)
        for name, _ in fields.values()
    }
    signals = {
        channel: Signal(topics[name].time, topics[name].values(own, data), topics[name].order)
        for channel, (name, own) in fields.items()
    }
    breaks, reasons = _dropouts(contents, list(topics.values()))
    short = sum(records.short for records in topics.values())
    stale = sum(records.stale for records in topics.values())
    reasons += [_stale(one) for one in topics.values() if one.stale]
    return RawLog(
        pl.DataFrame(),
        columns.sources,
        TICKS,
        short + stale,
        [*_file_reasons(contents, len(data), short), *reasons],
        signals=signals,
        breaks=breaks,
    )


def _records(topic: Topic, layout: tuple[Fields, int], data: bytes, task: Task) -> _Records:
    fields, size = layout
    full = np.array(topic.sizes) >= size
    at = np.array(topic.at, dtype=np.int64)[full]
    names = [*(name for name in task.ingest.time if name in fields), STAMP]
    if names[0] not in fields:
        raise Unreadable(whole_file(f"has no timestamps in the topic {topic.name!r}"))
    kind, offset = fields[names[0]]
    stamps = read_column(data, at + offset, kind)
    start = int.from_bytes(data[8:16], "little")
    stale = (stamps < start) | (stamps >= NEVER)
    time = pl.Series(stamps[~stale].astype(np.int64))
    order = np.array(topic.order, dtype=np.int64)[full][~stale]
    lost = int(np.count_nonzero(~full)), int(np.count_nonzero(stale))
    return _Records(topic.name, fields, at[~stale], time, order, *lost)


def _dropouts(contents: Contents, topics: list[_Records]) -> tuple[list[int], list[Reason]]:
    """Return the last timestamps before dropouts, and a reason for each.

    The time of a dropout is known only from samples before it, in the topics that are read: the
    latest timestamp of a log may have been stale when it was logged.
    """
    breaks, reasons = list[int](), list[Reason]()
    for position, seconds in contents.dropouts:
        last = [
            stamp
            for one in topics
            for stamp in one.time.head(int(np.searchsorted(one.order, position))).tail(1).to_list()
            if stamp is not None
        ]
        if last:
            breaks.append(max(last))
        reasons.append(
            reason(
                "dropout",
                f"stamp {max(last)} us" if last else "start",
                f"the logger lost {seconds:.3g} s",
                expected="a log without dropouts",
                fix="nothing to do: the log is split there; a faster SD card loses less",
            )
        )
    return breaks, reasons


def _file_reasons(contents: Contents, size: int, short: int) -> list[Reason]:
    """Return reasons about the file as a whole."""
    reasons: list[Reason] = []
    if contents.cut is not None:
        reasons.append(
            _cut(f"byte {contents.cut}", f"the file ends at byte {size} inside a record")
        )
    elif contents.unclosed:
        reasons.append(
            _cut("end of file", "the records that the logger writes when it stops are missing")
        )
    for start, stop in contents.damaged[:MAX_LISTED]:
        reasons.append(
            _damage(f"bytes {start}-{stop}", f"{stop - start} bytes that are not records")
        )
    if short:
        reasons.append(_damage("data", f"{short} records that are smaller than their type"))
    return reasons


def _stale(records: _Records) -> Reason:
    return reason(
        "stale_stamp",
        f"topic {records.name}",
        f"{records.stale} records have timestamps before the start of the log",
        expected="timestamps after the start of the log",
        fix="nothing to do: they are left out",
    )


def _cut(where: str, problem: str) -> Reason:
    return reason(
        "cut_file",
        where,
        problem,
        expected="a log that was stopped before it was copied",
        fix="nothing to do; copy the file again if the flight was longer",
    )


def _damage(where: str, problem: str) -> Reason:
    return reason(
        "damaged",
        where,
        problem,
        expected="whole records from start to end",
        fix="nothing to do: they are left out; copy the file again if it was whole",
    )


def _attributes(path: Path) -> dict[str, str]:
    """Return attributes of the flight controller: hardware, software, serial number."""
    return texts(read_records(path.read_bytes()).said.items())


READERS.register("ulog")(
    Reader((".ulg", ".ulog"), lambda head: head.startswith(MAGIC), read, attributes=_attributes)
)
