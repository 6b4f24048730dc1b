"""PX4 ULog by pyulog: topics of a flight controller, each at its own rate.

A field is named `topic.field[i]`, that of a further instance `topic[1].field[i]`. Timestamps are µs
since the start of the controller (`timestamp`, unless `ingest.time` names another field). A
dropout in the log splits it; a cut file is used and reported.
"""

import io
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from threading import local
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pyulog import ULog, core
from pyulog.exceptions import ULogException, ULogIncompatibleFlagException

from kinemill.ingest.raw import RawLog, Reader, Reason, Signal, Unreadable, match_columns, reason
from kinemill.ingest.readers._attributes import texts
from kinemill.task import Task
from kinemill.task.plugins import READERS

MAGIC = ULog.HEADER_BYTES
STAMP = "timestamp"
TICKS = 1e6  # stamps are µs since the flight controller started
NEVER = 1 << 63  # µs; a larger timestamp is damaged
PADDING = re.compile(r"(?:^|\.)_padding")
MAX_FIELDS = 10_000  # of a type, those of types in it included: none of PX4's is near

Fields = dict[str, NDArray[Any]]  # values (n,) by name


class _Printed(local):
    """Lines that pyulog prints in this thread, about damage."""

    def __init__(self) -> None:
        self.lines = list[str]()


_printed = _Printed()


def _note(*parts: object) -> None:
    """Store a line of this thread."""
    _printed.lines.append(" ".join(map(str, parts)))


# stdout belongs to all threads, so it is not redirected while files are read.
setattr(core, "print", _note)  # noqa: B010 - pyulog declares none


class _File(io.BytesIO):
    """Bytes of a file, at the end of some damaged ones of which pyulog goes back forever."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._moves = 1000 + 2 * len(content)  # each byte begins one header at most
        vars(self)["seek"] = self._move

    def _move(self, offset: int, whence: int = 0) -> int:
        """Move to a position, as `seek`.

        Raises:
            OSError: The same bytes are read forever.
        """
        self._moves -= 1
        if self._moves < 0:
            raise OSError("its end is read forever")
        return super().seek(offset, whence)

    def close(self) -> None:
        """Do nothing: pyulog closes it, and its content is used later."""

    def find_cut(self) -> int | None:
        """Return where the record begins inside which the file ends; None if it ends behind one.

        pyulog stops silently at such a record.
        """
        content = self.getvalue()
        size = len(content)
        at = len(ULog.HEADER_BYTES) + 9  # version and timestamp
        while at + 3 <= size:
            end = at + 3 + content[at] + (content[at + 1] << 8)
            if end > size:
                return at
            at = end
        return at if at < size else None


@dataclass(frozen=True)
class _Topic:
    """One instance of a topic: timestamps (n,) µs and fields (n,) of the records that are used.

    The logger includes the last message of each topic, however old, so that stale records have
    timestamps before the start of the log.
    """

    time: NDArray[np.int64]
    fields: Fields
    stale: int


def read(path: Path, task: Task) -> RawLog:
    """Read one ULog file, with fields matched by `topic.field`; timestamps are in µs.

    Raises:
        Header: The task has no channels.
        Unreadable: The file is not a ULog file, holds no data, or lacks a requested field.
    """
    file = _File(path.read_bytes())
    names = [source.name for spec in task.channels.values() for source in spec.source]
    if len(names) < len(task.channels):
        return _read(file, task, None)
    try:
        return _read(file, task, [re.split(r"[.[]", name)[0] for name in names])
    except Unreadable:
        return _read(_File(file.getvalue()), task, None)  # the error names the nearest fields


def _read(file: _File, task: Task, topics: list[str] | None) -> RawLog:
    """Read the named topics, or all."""
    messages = list[str]()
    log = _parse(file, messages, topics=topics)
    data = _fields(log)
    if not data:
        raise Unreadable(_whole_file("holds no data"))
    header = {f"{topic}.{field}": (topic, field) for topic in data for field in data[topic]}
    columns = match_columns(list(header), task, rate=TICKS)
    fields = {channel: header[source.name] for channel, source in columns.sources.items()}
    selected = {
        name: _topic(name, data[name], task, log.start_timestamp)
        for name in dict.fromkeys(name for name, _ in fields.values())
    }
    times = {name: pl.Series(topic.time) for name, topic in selected.items()}
    signals = {
        channel: Signal(times[name], pl.Series(selected[name].fields[field].astype(np.float64)))
        for channel, (name, field) in fields.items()
    }
    breaks, reasons = _dropouts(log, [topic.time for topic in selected.values()])
    reasons += [_stale(name, topic.stale) for name, topic in selected.items() if topic.stale]
    return RawLog(
        pl.DataFrame(),
        columns.sources,
        TICKS,
        sum(topic.stale for topic in selected.values()),
        [*_file_reasons(log, file, messages), *reasons],
        signals=signals,
        breaks=breaks,
    )


def _parse(
    file: _File,
    messages: list[str],
    *,
    topics: list[str] | None = None,
    header_only: bool = False,
) -> ULog:
    """Parse a file, its `topics` or all; `messages` receives what pyulog prints about damage.

    Raises:
        Unreadable: The file is not a ULog file, or uses an unsupported feature.
    """
    _printed.lines = messages
    try:
        header = ULog(_File(file.getvalue()), parse_header_only=True)
        _check_types(header)
        return header if header_only else ULog(file, topics)
    except ULogIncompatibleFlagException as error:
        problem = "sets flags of a newer version of the format"
        raise Unreadable(_whole_file(problem)) from error
    except ULogException as error:
        raise Unreadable(_whole_file("does not begin as a ULog file does")) from error
    except (LookupError, ValueError, OverflowError, OSError, struct.error) as error:
        raise Unreadable(_whole_file(f"is damaged: {error}")) from error


def _check_types(log: ULog) -> None:
    """Refuse types that pyulog, which expands them without a limit, would not finish."""
    counts: dict[str, int] = {}

    def count(name: str, parents: tuple[str, ...] = ()) -> int:
        if name in parents:
            raise Unreadable(_whole_file(f"defines the type {name!r} inside itself"))
        if name in log.message_formats and name not in counts:
            fields = log.message_formats[name].fields
            counts[name] = sum(
                max(length, 1) * count(kind, (*parents, name)) for kind, length, _ in fields
            )
        total = counts.get(name, 1)
        if total > MAX_FIELDS:
            raise Unreadable(_whole_file(f"defines a type {name!r} of {total} fields"))
        return total

    for name in log.message_formats:
        count(name)


def _fields(log: ULog) -> dict[str, Fields]:
    """Return the fields (n,) of each topic; a topic that is subscribed to again is joined."""
    topics: dict[str, Fields] = {}
    for data in log.data_list:
        name = f"{data.name}[{data.multi_id}]" if data.multi_id else data.name
        fields = {key: values for key, values in data.data.items() if not PADDING.search(key)}
        columns = topics.setdefault(name, {})
        for key, values in fields.items():
            is_known = key in columns
            columns[key] = np.concatenate([columns[key], values]) if is_known else values
    return topics


def _topic(name: str, fields: Fields, task: Task, start: int) -> _Topic:
    stamp = next((field for field in (*task.ingest.time, STAMP) if field in fields), None)
    if stamp is None:
        raise Unreadable(_whole_file(f"has no timestamps in the topic {name!r}"))
    time = fields[stamp]
    is_current = (time >= start) & (time < NEVER)
    stale = int(np.count_nonzero(~is_current))
    if stale:
        fields = {field: values[is_current] for field, values in fields.items()}
    return _Topic(fields[stamp].astype(np.int64), fields, stale)


def _dropouts(log: ULog, times: list[NDArray[np.int64]]) -> tuple[list[int], list[Reason]]:
    """Return the last timestamps before dropouts in the topics that are read, with reasons."""
    breaks: list[int] = []
    reasons: list[Reason] = []
    for dropout in log.dropouts:
        earlier = [time[time <= dropout.timestamp] for time in times]
        last = max((int(time.max()) for time in earlier if len(time)), default=None)
        breaks += [] if last is None else [last]
        reasons.append(
            reason(
                "dropout",
                "start" if last is None else f"stamp {last} us",
                f"the logger lost {dropout.duration / 1e3:.3g} s",
                expected="a log without dropouts",
                fix="nothing to do: the log is split there; a faster SD card loses less",
            )
        )
    return breaks, reasons


def _file_reasons(log: ULog, file: _File, messages: list[str]) -> list[Reason]:
    """Return reasons about the file as a whole."""
    reasons: list[Reason] = []
    parts = log.msg_info_multiple_dict
    # Behind damage or an appended part, the walk over the records goes astray.
    is_plain = not log.file_corruption and not log.has_data_appended
    if is_plain and (cut := file.find_cut()) is not None:
        size = len(file.getvalue())
        reasons.append(_cut(f"byte {cut}", f"the file ends at byte {size} inside a record"))
    elif any("_preflight" in key for key in parts) and not any(
        "_postflight" in key for key in parts
    ):
        reasons.append(
            _cut("end of file", "the records that the logger writes when it stops are missing")
        )
    if log.file_corruption:
        damage = "; ".join(dict.fromkeys(messages)) or "bytes that are not records"
        reasons.append(
            reason(
                "damaged",
                "file",
                f"pyulog skipped records: {damage}",
                expected="whole records from start to end",
                fix="nothing to do: they are left out; copy the file again if it was whole",
            )
        )
    return reasons


def _stale(topic: str, count: int) -> Reason:
    return reason(
        "stale_stamp",
        f"topic {topic}",
        f"{count} records have timestamps before the start of the log",
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


def _whole_file(problem: str) -> Reason:
    fix = "copy it from the flight controller again"
    return reason("format", "file", problem, expected="a whole ULog file", fix=fix)


def _attributes(path: Path) -> dict[str, str]:
    """Return attributes of the flight controller: hardware, software, serial number."""
    header = _parse(_File(path.read_bytes()), [], header_only=True)
    return texts(
        (name, value.rstrip("\0") if isinstance(value, str) else value)
        for name, value in header.msg_info_dict.items()
    )


READERS.register("ulog")(
    Reader((".ulg", ".ulog"), lambda head: head.startswith(MAGIC), read, attributes=_attributes)
)
