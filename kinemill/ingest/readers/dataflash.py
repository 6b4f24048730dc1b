"""ArduPilot DataFlash: messages of a flight controller, each type at its own rate.

A field is named `TYPE.Field` (`ATT.Roll`), one of a further instance `IMU[1].GyrX`. Timestamps are
µs since the start of the controller (`TimeUS`; in logs of 2014 and before ms, `TimeMS` or `T`). A
file that ends inside a message is used and reported: controllers lose power while they log. The
text form of a log (`.log`, as ground stations write it) is read as well.

The format is ArduPilot's (`AP_Logger/LogStructure.h`): two bytes, the number of a type, and fields
without checksums. Types define themselves in messages `FMT`, their units in `FMTU`, `UNIT`, `MULT`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.ingest.raw import (
    MAX_LISTED,
    About,
    ColumnAttributes,
    RawLog,
    Reader,
    Reason,
    Signal,
    Unreadable,
    match_columns,
    reason,
    stretches,
)
from kinemill.ingest.readers._attributes import texts
from kinemill.ingest.readers._dataflash_text import (
    DEFINES,
    DEFINITION,
    SYNC,
    as_binary,
    is_text,
)
from kinemill.ingest.readers._limits import check_lines
from kinemill.ingest.unsupported_formats import SDLOG2
from kinemill.task import Task
from kinemill.task.plugins import READERS

TICKS = 1e6
_LEAST = {DEFINITION: 3 + DEFINES.size}  # sizes of messages before the file defines types
_KINDS = {  # letter of a format: type and scale of a value
    "b": ("<i1", 1.0), "B": ("<u1", 1.0), "M": ("<u1", 1.0), "h": ("<i2", 1.0), "H": ("<u2", 1.0),
    "i": ("<i4", 1.0), "I": ("<u4", 1.0), "q": ("<i8", 1.0), "Q": ("<u8", 1.0), "f": ("<f4", 1.0),
    "d": ("<f8", 1.0), "g": ("<f2", 1.0), "c": ("<i2", 0.01), "C": ("<u2", 0.01),
    "e": ("<i4", 0.01), "E": ("<u4", 0.01), "L": ("<i4", 1e-7),
    "n": ("S4", 0.0), "N": ("S16", 0.0), "Z": ("S64", 0.0), "a": ("(32,)<i2", 0.0),
}  # fmt: skip
_CLOCKS = {"TimeUS": 1, "T": 1000, "TimeMS": 1000}  # field: µs of its unit
_DESCRIPTIONS = {"FMT", "FMTU", "UNIT", "MULT", "PARM"}  # types about the log and the controller
_INSTANCE = "#"  # unit of the field that numbers the instances of a type
_UNITS = {"UNKNOWN": "", "deglatitude": "deg", "deglongitude": "deg", "degheading": "deg"}
_HEAD = 4096  # bytes that show the form of a file
_MOST_INSTANCES = 16  # more are not instances
_QUANTITIES = {  # field: descriptive name and unit, for drafts, of what moves a vehicle or shows it
    **{f"ATT.{axis}": (f"{axis.lower()}_angle", "deg") for axis in ("Roll", "Pitch", "Yaw")},
    **{f"IMU.Gyr{axis}": (f"gyro_{axis.lower()}", "rad/s") for axis in "XYZ"},
    **{f"IMU.Acc{axis}": (f"acceleration_{axis.lower()}", "m/s^2") for axis in "XYZ"},
    **{f"{ekf}.V{axis}": (f"velocity_{axis.lower()}", "m/s")
       for ekf in ("NKF1", "XKF1") for axis in ("N", "E", "D")},
    **{f"{ekf}.P{axis}": (f"position_{axis.lower()}", "m")
       for ekf in ("NKF1", "XKF1") for axis in ("N", "E", "D")},
    **{f"RCOU.{stem}{n}": (f"pwm_{n}", "us") for stem in ("C", "Ch", "Chan") for n in range(1, 15)},
    "ARSP.Airspeed": ("airspeed", "m/s"),
}  # fmt: skip


@dataclass
class _Type:
    """One type of messages: its layout, and where its messages are in the file."""

    name: str
    number: int
    size: int
    layout: np.dtype[Any]
    scales: dict[str, float]  # of numbers, by field
    at: list[int] = field(default_factory=list[int])
    order: list[int] = field(default_factory=list[int])
    units: dict[str, str] = field(default_factory=dict[str, str])
    instance: str | None = None  # the field that numbers instances

    @property
    def clock(self) -> str | None:
        """The field of the timestamps."""
        return next((name for name in _CLOCKS if self.is_whole(name)), None)

    def is_whole(self, name: str | None) -> bool:
        """Return whether a field holds whole numbers."""
        return name in self.scales and self.layout[str(name)].kind in "iu"


@dataclass
class _Contents:
    """The messages of a file by type, and its damage."""

    types: dict[str, _Type] = field(default_factory=dict[str, _Type])
    damaged: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])  # bytes
    cut: int | None = None  # byte at which the message begins in which the file ends
    bad_lines: list[int] = field(default_factory=list[int])  # of a text, no messages


def _read_file(path: Path) -> tuple[_Contents, bytes]:
    """Return the messages of a file with their units, and its bytes in the binary form."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if is_log_text := not head.startswith(SYNC) and is_text(head):
        check_lines(path)
    data = path.read_bytes()
    bad = list[int]()
    if is_log_text:
        data, bad = as_binary(data, {letter: scale for letter, (_, scale) in _KINDS.items()})
    contents = _read_messages(data)
    contents.bad_lines = bad
    _describe(contents, data)
    return contents, data


def _read_messages(data: bytes) -> _Contents:
    """Find all messages of a file."""
    contents = _Contents()
    numbered = dict[int, _Type]()
    at = 0
    count = 0
    end = len(data)
    while at < end:
        head = data[at : at + 3]
        number = head[2] if len(head) == 3 and head.startswith(SYNC) else -1
        kind = numbered.get(number)
        size = kind.size if kind else _LEAST.get(number, 0)
        if not size:
            following = _next_message(data, at + 1, numbered)
            if data[at:following].strip(b"\0\xff"):  # a controller can reserve space at the end
                contents.damaged.append((at, following))
            at = following
        elif at + size > end:
            contents.cut = at
            break
        else:
            if kind:
                kind.at.append(at)
                kind.order.append(count)
            if number == DEFINITION:
                _define(data[at + 3 : at + size], contents, numbered)
            count += 1
            at += size
    return contents


def _next_message(data: bytes, at: int, numbered: dict[int, _Type]) -> int:
    """Return where the next message of a known type begins, or the end of the file."""
    while (at := data.find(SYNC, at)) >= 0:
        kind = numbered.get(data[at + 2]) if at + 2 < len(data) else None
        # Its end shows that the two bytes are not part of a value.
        if kind and data[at + kind.size : at + kind.size + 2] in {SYNC, b""}:
            return at
        at += 1
    return len(data)


def _define(payload: bytes, contents: _Contents, numbered: dict[int, _Type]) -> None:
    """Add the type that a message FMT defines; if it makes no sense, with its size alone."""
    number, size, *parts = DEFINES.unpack(payload)
    name, formats, fields = (part.rstrip(b"\0").decode("ascii", "replace") for part in parts)
    if number in numbered or size < 3:  # a controller repeats definitions
        return
    name = f"{name}_{number}" if name in contents.types else name
    names = fields.split(",") if fields else []
    kinds = [_KINDS[letter] for letter in formats if letter in _KINDS]
    layout = np.dtype([])
    scales = dict[str, float]()
    if len({*names}) == len(names) == len(kinds) == len(formats):
        layout = np.dtype([(field, kind) for field, (kind, _) in zip(names, kinds, strict=True)])
        scales = {field: scale for field, (_, scale) in zip(names, kinds, strict=True) if scale}
    if layout.itemsize + 3 != size:
        layout = np.dtype([])
        scales = {}
    numbered[number] = contents.types[name] = _Type(name, number, size, layout, scales)


def _values(type_: _Type, data: bytes) -> NDArray[Any]:
    """Return the messages of a type, structured (n,)."""
    raw = np.frombuffer(data, dtype=np.uint8)
    at = np.array(type_.at, dtype=np.int64)[:, None] + 3
    return np.ascontiguousarray(raw[at + np.arange(type_.layout.itemsize)]).view(type_.layout)[:, 0]


def _describe(contents: _Contents, data: bytes) -> None:
    """Set units, multipliers and the numbers of instances, as far as the log states them."""
    pairs = {key: _pairs(contents.types.get(key), data) for key in ("UNIT", "MULT")}
    by_number = {type_.number: type_ for type_ in contents.types.values()}
    if (stated := contents.types.get("FMTU")) is None or len(stated.layout.names or ()) < 3:
        return
    for row in _values(stated, data).tolist():
        number, units, multipliers = row[-3:]
        type_ = by_number.get(number)
        if type_ is None or not isinstance(units, bytes) or not isinstance(multipliers, bytes):
            continue
        for index, column in enumerate(type_.layout.names or ()):
            unit, multiplier = (
                part[index : index + 1].decode("ascii", "replace") for part in (units, multipliers)
            )
            if unit == _INSTANCE:
                type_.instance = column
            text = str(pairs["UNIT"].get(unit, ""))
            type_.units[column] = _UNITS.get(text, text)
            factor = pairs["MULT"].get(multiplier, 1.0)
            # Letters such as `c` include their multiplier.
            if type_.scales.get(column) == 1.0 and isinstance(factor, float) and factor > 0.0:
                type_.scales[column] = float(f"{factor:.6g}")  # 1e-6 is a float32 in some firmware


def _pairs(type_: _Type | None, data: bytes) -> dict[str, str | float]:
    """Return what a type lists under single letters."""
    if type_ is None or len(type_.layout.names or ()) != 3:
        return {}
    rows = _values(type_, data).tolist()
    return {
        chr(letter & 0x7F): value.decode("ascii", "replace") if isinstance(value, bytes) else value
        for _, letter, value in rows
        if isinstance(letter, int)
    }


@dataclass(frozen=True)
class _Topic:
    """The messages of one instance of a type."""

    rows: NDArray[Any]
    scales: dict[str, float]
    time: pl.Series
    order: NDArray[np.int64]

    def values(self, name: str) -> pl.Series:
        return pl.Series(self.rows[name].astype(np.float64) * self.scales[name])


def _topics(contents: _Contents, data: bytes) -> dict[str, _Type]:
    """Return the types with timestamps and numbers, one entry for each instance."""
    topics: dict[str, _Type] = {}
    for type_ in contents.types.values():
        if not type_.at or type_.clock is None or type_.name in _DESCRIPTIONS:
            continue
        topics[type_.name] = type_
        if type_.is_whole(type_.instance):
            numbers = np.unique(_values(type_, data)[type_.instance])
            if len(numbers) <= _MOST_INSTANCES:
                topics |= {f"{type_.name}[{int(k)}]": type_ for k in numbers.tolist() if k > 0}
    return topics


def _topic(name: str, type_: _Type, data: bytes) -> _Topic:
    rows = _values(type_, data)
    order = np.array(type_.order, dtype=np.int64)
    if type_.is_whole(type_.instance):
        number = int(name.partition("[")[2].rstrip("]") or 0)
        is_instance = rows[type_.instance] == number
        rows = rows[is_instance]
        order = order[is_instance]
    clock = type_.clock or ""
    time = pl.Series(rows[clock].astype(np.int64) * _CLOCKS[clock])
    return _Topic(rows, type_.scales, time, order)


def read(path: Path, task: Task) -> RawLog:
    """Read one DataFlash file, with fields matched by `TYPE.Field`; timestamps are in µs.

    Values are multiplied by the scale of their field, so that they have the unit of the log.

    Raises:
        Header: The task has no channels.
        Unreadable: The file holds no messages with timestamps, or lacks a requested field.
    """
    contents, data = _read_file(path)
    types = _topics(contents, data)
    if not types and b"StartTime" in data[: 1 << 16]:
        kind, fix = SDLOG2
        expected = "a DataFlash log of ArduPilot"
        raise Unreadable(reason("format", "file", f"is {kind}", expected=expected, fix=fix))
    if not types:
        raise Unreadable(_whole_file("holds no messages with timestamps"))
    header = {
        f"{topic}.{field}": (topic, field)
        for topic, type_ in types.items()
        for field in type_.scales
        if field not in {type_.clock, type_.instance}
    }
    columns = match_columns(list(header), task, rate=TICKS)
    fields = {channel: header[source.name] for channel, source in columns.sources.items()}
    topics = {name: _topic(name, types[name], data) for name, _ in fields.values()}
    signals = {
        channel: Signal(topics[name].time, topics[name].values(field), topics[name].order)
        for channel, (name, field) in fields.items()
    }
    reasons = _reasons(contents, len(data))
    return RawLog(pl.DataFrame(), columns.sources, TICKS, 0, reasons, signals=signals)


def _reasons(contents: _Contents, size: int) -> list[Reason]:
    """Return reasons about the file as a whole."""
    reasons = [
        reason(
            "damaged",
            f"bytes {start}-{stop}",
            f"{stop - start} bytes that are not messages",
            expected="whole messages from start to end",
            fix="nothing to do: they are left out; copy the file again if it was whole",
        )
        for start, stop in contents.damaged[:MAX_LISTED]
    ]
    if contents.bad_lines:
        lines = stretches(np.array(contents.bad_lines)).replace("row", "line", 1)
        expected = "messages of types that the file defines, with a value for each field"
        fix = "nothing to do: they are left out; write the text again if it was whole"
        problem = f"{len(contents.bad_lines)} lines that are not messages"
        reasons.append(reason("damaged", lines, problem, expected=expected, fix=fix))
    if contents.cut is None:
        return reasons
    where = f"byte {contents.cut}"
    problem = f"the file ends at byte {size} inside a message"
    expected = "a log that was stopped before it was copied"
    fix = "nothing to do; copy the file again if the flight was longer"
    return [reason("cut_file", where, problem, expected=expected, fix=fix), *reasons]


def _whole_file(problem: str) -> Reason:
    fix = "copy it from the flight controller again"
    return reason("format", "file", problem, expected="a whole DataFlash file", fix=fix)


def _about(path: Path) -> About:
    """Return the units of all fields, and descriptive names of those that drafts use."""
    contents, data = _read_file(path)
    names = {
        f"{topic}.{field}": type_.units.get(field, "")
        for topic, type_ in _topics(contents, data).items()
        for field in type_.scales
    }
    labels = {name: label for name, (label, _) in _QUANTITIES.items() if name in names}
    units = {name: unit or _QUANTITIES.get(name, ("", ""))[1] for name, unit in names.items()}
    columns = {name: ColumnAttributes(unit) for name, unit in units.items() if unit}
    return About(labels, columns=columns)


def _attributes(path: Path) -> dict[str, str]:
    """Return the firmware, as its first message of text states it: `ArduCopter V4.3.0 (...)`."""
    contents, data = _read_file(path)
    type_ = contents.types.get("MSG")
    if type_ is None:
        return {}
    lines = [row[-1].decode("ascii", "replace") for row in _values(type_, data).tolist()]
    firmware = next((line for line in lines if " V" in line), None)
    return texts([("firmware", firmware)])


READERS.register("dataflash")(
    Reader(
        (".bin",),
        lambda head: head.startswith(SYNC) or is_text(head),
        read,
        shared=True,
        about=_about,
        selects=True,
        attributes=_attributes,
    )
)
