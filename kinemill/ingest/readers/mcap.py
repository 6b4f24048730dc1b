"""MCAP logs: JSON and ROS messages on topics; a cut file is read up to its end.

The file is read from its start, record by record, and not by the index at its end, so that the log
of a robot that lost power is usable as far as it was written.
"""

import io
import json
import re
import struct
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinemill.ingest.raw import About, RawLog, Reader, Reason, Unreadable, reason
from kinemill.ingest.readers._attributes import texts
from kinemill.ingest.readers._chunks import (
    CHANNEL,
    CHUNK,
    INDEX,
    MAGIC,
    MESSAGE,
    SCHEMA,
    STATISTICS,
    Damaged,
    Record,
    definitions,
    inner,
    records,
    unpack,
)
from kinemill.ingest.readers._messages import MessageCollector
from kinemill.ingest.readers._ros import FORMATS, Decoder, Undecodable, cut_log, decoder
from kinemill.task import Task
from kinemill.task.plugins import READERS

METADATA = 0x0C  # opcode: a name, and texts by key
_TEXT = re.compile(rb'"[^"]*"')
_MESSAGE = struct.Struct("<HIQQ")  # channel, sequence, log time and publish time in ns


@dataclass
class _State:
    """State of reading a file record by record."""

    gathering: MessageCollector
    schemas: dict[int, Any] = field(default_factory=dict[int, Any])
    topics: dict[int, str] = field(default_factory=dict[int, str])
    decoders: dict[int, Decoder] = field(default_factory=dict[int, Decoder])
    refused: dict[str, Reason] = field(default_factory=dict[str, Reason])  # by topic
    reasons: list[Reason] = field(default_factory=list[Reason])
    n_messages: Counter[int] = field(default_factory=Counter[int])  # messages by channel
    lost: Counter[int] = field(default_factory=Counter[int])
    damaged: bool = False  # whether the last chunk was; its index shows the loss


def read(path: Path, task: Task) -> RawLog:
    """Read one MCAP file, with fields matched by `topic.field.sub[2]`.

    A damaged chunk is left out, and its messages are counted if its index is intact. Messages
    behind the end of a cut file are lost.

    Raises:
        Unreadable: The file is not an MCAP file, holds no message, or lacks a requested field; or a
            requested topic has an encoding other than JSON and ROS.
    """
    state = _State(MessageCollector(task))
    with suppress(Damaged):  # the chunks repeat the definitions of a damaged summary
        for record in definitions(path):
            _take(record, state)
    try:
        for record in records(path):
            _take(record, state)
    except Damaged as error:
        count = sum(state.n_messages.values())
        expected = "an MCAP file with a footer"
        state.reasons.append(cut_log("end of file", f"the file {error}", count, expected))
    if state.refused:
        raise Unreadable(*state.refused.values())
    if not state.n_messages:
        problem = state.reasons[0]["found"] if state.reasons else "holds no message"
        expected = "an MCAP file with messages"
        fix = "copy it from the robot again"
        raise Unreadable(reason("format", "file", str(problem), expected=expected, fix=fix))
    lost = sum(count for channel, count in state.lost.items() if channel in state.decoders)
    return state.gathering.log(lost, state.reasons)


def _take(record: Record, state: _State) -> None:
    try:
        if record.opcode == CHUNK:
            _take_chunk(record, state)
        elif record.opcode == INDEX and state.damaged:
            channel, length = struct.unpack_from("<HI", record.payload)
            state.lost[channel] += length // 16
        elif record.opcode == MESSAGE:
            _take_message(record.payload, state)
        elif record.opcode == SCHEMA:
            schema = _parsed("Schema", record.payload)
            state.schemas[schema.id] = schema
        elif record.opcode == CHANNEL:
            _take_channel(record.payload, state)
        elif record.opcode == STATISTICS and not record.cut:
            _compare(record.payload, state)
    except (struct.error, ValueError) as error:
        raise Damaged(f"holds a damaged record at byte {record.offset} ({error})") from error


def _take_chunk(record: Record, state: _State) -> None:
    try:
        data = unpack(record)
    except Damaged as error:
        state.damaged = True
        state.reasons.append(_damaged_chunk(record, str(error)))
        return
    state.damaged = False
    for inner_record in inner(data, record.offset):
        # No nested chunks, which could recurse forever.
        if inner_record.opcode in {SCHEMA, CHANNEL, MESSAGE}:
            _take(inner_record, state)


def _parsed(kind: str, payload: bytes) -> Any:
    """Return a record of a type of `mcap.records`.

    Raises:
        ValueError: It is damaged.
    """
    from mcap import records as types
    from mcap.data_stream import ReadDataStream
    from mcap.exceptions import McapError

    try:
        return getattr(types, kind).read(ReadDataStream(io.BytesIO(payload)))
    except McapError as error:
        raise ValueError(str(error)) from error


def _take_channel(payload: bytes, state: _State) -> None:
    """Store a channel's topic, and its decoder if one of its fields is requested."""
    channel = _parsed("Channel", payload)
    state.topics[channel.id] = channel.topic
    if channel.id in state.decoders or channel.topic in state.refused:
        return
    is_selected = state.gathering.wants(channel.topic)
    needs_decoder = is_selected or state.gathering.lists_all
    schema = state.schemas.get(channel.schema_id)
    try:
        if channel.message_encoding == "json":
            state.decoders[channel.id] = Decoder(_from_json, shape=_shape)
        elif needs_decoder and schema and schema.encoding in FORMATS:
            definition = schema.data.decode(errors="replace")
            state.decoders[channel.id] = decoder(schema.name, schema.encoding, definition)
        elif is_selected:
            form = f"{channel.message_encoding!r} messages"
            state.refused[channel.topic] = _other_encoding(channel.topic, f"holds {form}")
    except Undecodable as error:
        if is_selected:
            problem = f"is of no known {error}"
            state.refused[channel.topic] = _other_encoding(channel.topic, problem)


def _from_json(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Undecodable(str(error)) from error


def _shape(data: bytes) -> tuple[bytes, int] | None:
    """Return the keys and texts of a JSON message, and its number of commas; None with escapes."""
    return None if b"\\" in data else (b"".join(_TEXT.findall(data)), data.count(b","))


def _take_message(payload: bytes, state: _State) -> None:
    channel, _, logged, published = _MESSAGE.unpack_from(payload)
    state.n_messages[channel] += 1
    decode = state.decoders.get(channel)
    if decode is not None:
        topic = state.topics[channel]
        state.gathering.add(topic, payload[_MESSAGE.size :], decode, logged, published)


def _compare(payload: bytes, state: _State) -> None:
    """Compare the numbers of messages with those that the file states."""
    (length,) = struct.unpack_from("<I", payload, 42)
    for channel, count in struct.iter_unpack("<HQ", payload[46 : 46 + length - length % 10]):
        state.lost[channel] = max(count - state.n_messages[channel], 0)


def _damaged_chunk(record: Record, problem: str) -> Reason:
    first, last = struct.unpack_from("<QQ", record.payload.ljust(16, b"\0"))
    return reason(
        "damaged",
        f"messages from {first / 1e9:.6g} to {last / 1e9:.6g} s",
        f"the chunk at byte {record.offset} {problem}",
        expected="a whole chunk",
        fix="nothing to do: these messages are left out; copy the file again if it was whole",
    )


def _other_encoding(topic: str, problem: str) -> Reason:
    return reason(
        "encoding",
        f"topic {topic}",
        problem,
        expected="JSON, or ROS 1 or 2 messages with their definition",
        fix="convert the log, or name fields of another topic",
    )


def _attributes(path: Path) -> dict[str, str]:
    """Return the metadata records of a file, by `name.key`; of a cut file, those before the end."""
    pairs: list[tuple[str, str]] = []
    with suppress(Damaged):  # `read` reports it
        for record in records(path):
            if record.opcode == METADATA and not record.cut:
                metadata = _parsed("Metadata", record.payload)
                pairs += [
                    (f"{metadata.name}.{key}", value) for key, value in metadata.metadata.items()
                ]
    return texts(pairs)


def _about(path: Path) -> About:
    """Return the topics of other encodings, with reasons; those of a cut file are not listed."""
    encodings = dict[int, str]()
    left_out = dict[str, str]()
    with suppress(Damaged, struct.error, ValueError):  # `read` reports it
        for record in definitions(path):
            if record.opcode == SCHEMA:
                schema = _parsed("Schema", record.payload)
                encodings[schema.id] = schema.encoding
                continue
            channel = _parsed("Channel", record.payload)
            is_ros = encodings.get(channel.schema_id) in FORMATS
            if channel.message_encoding != "json" and not is_ros:
                form = f"holds {channel.message_encoding!r} messages, which are not read"
                left_out[channel.topic] = form
    return About(left_out=left_out)


READERS.register("mcap")(
    Reader(
        (".mcap",),
        lambda head: head.startswith(MAGIC),
        read,
        attributes=_attributes,
        about=_about,
    )
)
