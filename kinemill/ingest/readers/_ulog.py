"""Records of the topics of a PX4 ULog file, and its damage.

The format is PX4's (docs.px4.io, "ULog File Format", version 1): a header of 16 bytes, then records
of a size (uint16), a type (one letter) and a payload, without checksums. After damage, reading
resumes after the next synchronization record.
"""

import re
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.ingest.raw import Unreadable, reason

PADDING = "_padding"  # fields without values, which the last record may lack
MAGIC = b"ULog\x01\x12\x35"
SYNC = b"\x2f\x73\x13\x20\x25\x0c\xbb\x12"
TICKS = 1e6  # stamps are µs since the flight controller started
LARGEST_RECORD = 1 << 16
_RECORD_TYPES = b"BFIMPQARDLCSO"
_TYPES = {
    "int8_t": "<i1", "uint8_t": "<u1", "int16_t": "<i2", "uint16_t": "<u2", "int32_t": "<i4",
    "uint32_t": "<u4", "int64_t": "<i8", "uint64_t": "<u8", "float": "<f4", "double": "<f8",
    "bool": "<u1", "char": "<u1",
}  # fmt: skip
_FIELD = re.compile(r"(\w+)(?:\[(\d{1,5})\])? (\w+)")
_DEEPEST, _MOST_FIELDS = 8, 10_000  # of types in types, and of fields: none of PX4's is near

Fields = dict[str, tuple[str, int]]  # name -> type and byte offset in the record


@dataclass
class Topic:
    """One instance of a topic.

    Attributes:
        name: name of the topic, without the instance.
        at: first byte of each of its records in the file.
        sizes: bytes of each record.
        order: number of each record among all records of the file.
    """

    name: str
    at: list[int] = field(default_factory=list[int])
    sizes: list[int] = field(default_factory=list[int])
    order: list[int] = field(default_factory=list[int])


@dataclass
class Contents:
    """Records and damage of a file.

    Attributes:
        formats: fields of each type, as text.
        topics: topics by name, with the instance if it is not 0.
        dropouts: number of the record after which data were lost, and their duration, s.
        damaged: first and last + 1 byte of each damaged stretch.
        records: number of records.
        cut: first byte of the record inside which the file ends; None if it does not.
        unclosed: whether the file has the records of the start but not those of the end.
        appended: bytes at which appended data begin.
        said: texts and whole numbers about the flight controller, by name.
    """

    formats: dict[str, str] = field(default_factory=dict[str, str])
    topics: dict[str, Topic] = field(default_factory=dict[str, Topic])
    dropouts: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    damaged: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    records: int = 0
    cut: int | None = None
    unclosed: bool = False
    appended: list[int] = field(default_factory=list[int])
    said: dict[str, str | int] = field(default_factory=dict[str, str | int])


def read_records(data: bytes) -> Contents:
    """Return the positions of all records of a file, and its damage.

    Raises:
        Unreadable: The file is not a ULog file, or uses an unsupported feature.
    """
    if not data.startswith(MAGIC) or len(data) < 16:
        raise Unreadable(whole_file("does not begin as a ULog file does"))
    contents, ids, at = Contents(), dict[int, Topic](), 16
    has_preflight = has_postflight = False
    while at < len(data):
        # A header that is cut counts as a record that ends after the data.
        size, kind = struct.unpack_from("<HB", data, at) if at + 3 <= len(data) else (1, ord("D"))
        stop = at + 3 + size
        # Appended data begin at a stated byte; the record before may be cut there.
        if contents.appended and stop > contents.appended[0]:
            at = max(at, contents.appended.pop(0))
        elif size == 0 or kind not in _RECORD_TYPES:
            following = data.find(SYNC, at)
            following = len(data) if following < 0 else following + len(SYNC)
            contents.damaged.append((at, following))
            at = following
        elif stop > len(data):
            contents.cut = at
            break
        else:
            contents.records += 1
            _read_record(chr(kind), at + 3, data[at + 3 : stop], contents, ids)
            if kind == ord("M"):
                has_preflight |= b"_preflight" in data[at + 3 : at + 63]
                has_postflight |= b"_postflight" in data[at + 3 : at + 63]
            at = stop
    contents.unclosed = has_preflight and not has_postflight
    return contents


def _read_record(
    kind: str, at: int, payload: bytes, contents: Contents, ids: dict[int, Topic]
) -> None:
    if kind == "D" and len(payload) > 2:
        topic = ids.get(int.from_bytes(payload[:2], "little"))
        if topic is not None:
            topic.at.append(at + 2)
            topic.sizes.append(len(payload) - 2)
            topic.order.append(contents.records)
    elif kind == "F":
        name, _, fields = payload.decode(errors="replace").partition(":")
        contents.formats[name] = fields
    elif kind == "A" and len(payload) > 3:
        name = payload[3:].decode(errors="replace")
        name = f"{name}[{payload[0]}]" if payload[0] else name
        topic = contents.topics.setdefault(name, Topic(payload[3:].decode(errors="replace")))
        ids[int.from_bytes(payload[1:3], "little")] = topic
    elif kind == "I" and payload:
        _read_information(payload, contents)
    elif kind == "O" and len(payload) == 2:
        contents.dropouts.append((contents.records, int.from_bytes(payload, "little") / 1e3))
    elif kind == "B" and len(payload) >= 40:
        _read_flags(payload, contents)


def _read_information(payload: bytes, contents: Contents) -> None:
    """Keep texts and whole numbers, such as `char[3] sys_name` and `uint32_t ver_sw_release`."""
    key, value = payload[1 : 1 + payload[0]].decode(errors="replace"), payload[1 + payload[0] :]
    kind, _, name = key.partition(" ")
    if kind.startswith("char["):
        contents.said[name] = value.decode("utf-8", "replace").rstrip("\0")
    elif kind in {"int32_t", "uint32_t"} and len(value) == 4:
        contents.said[name] = int.from_bytes(value, "little", signed=kind == "int32_t")


def _read_flags(payload: bytes, contents: Contents) -> None:
    if payload[8] & ~1 or any(payload[9:16]):
        raise Unreadable(whole_file("sets flags of a newer version of the format"))
    if payload[8] & 1:
        contents.appended = sorted(at for at in struct.unpack_from("<3Q", payload, 16) if at)


def fields_of(name: str, formats: dict[str, str]) -> tuple[Fields, int]:
    """Return the fields of a type, those of types in it included, and the size of its record.

    Raises:
        Unreadable: The file does not define the type, or it contains itself or is too large.
    """
    fields = dict[str, tuple[str, int]]()
    size = _lay_out(name, "", 0, formats, fields)
    return fields, size


def _lay_out(
    name: str, prefix: str, at: int, formats: dict[str, str], layout: Fields, depth: int = 0
) -> int:
    if name not in formats or depth > _DEEPEST or len(layout) > _MOST_FIELDS:
        raise Unreadable(whole_file(f"does not define the type {name!r} of a requested topic"))
    end = at
    for kind, count, own in _FIELD.findall(formats[name]):
        for index in range(int(count or 1)):
            label = f"{prefix}{own}[{index}]" if count else f"{prefix}{own}"
            if kind in _TYPES:
                if not own.startswith(PADDING):
                    layout[label] = (_TYPES[kind], at)
                at += np.dtype(_TYPES[kind]).itemsize
            else:
                at = _lay_out(kind, f"{label}.", at, formats, layout, depth + 1)
            if at > LARGEST_RECORD or len(layout) > _MOST_FIELDS:
                raise Unreadable(whole_file(f"defines a type {name!r} that no record can hold"))
        # Padding at the end of a record is defined, and not written.
        end = end if own.startswith(PADDING) else at
    return end if depth == 0 else at


def read_column(data: bytes, at: NDArray[np.int64], kind: str) -> Any:
    """Return the values of a field, (n,) of its type, at the bytes `at` (n,) of the file."""
    raw = np.frombuffer(data, dtype=np.uint8)
    width = np.dtype(kind).itemsize
    return np.ascontiguousarray(raw[at[:, None] + np.arange(width)]).view(kind)[:, 0]


def whole_file(problem: str) -> dict[str, str | None]:
    """Return a reason about the file as a whole."""
    fix = "copy it from the flight controller again"
    return reason("format", "file", problem, expected="a whole ULog file", fix=fix)
