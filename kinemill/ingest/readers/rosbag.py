"""ROS bags: ROS 1 `.bag` files and the SQLite files (`.db3`) of ROS 2 bag folders.

Each storage file of a ROS 2 bag is a log; its `metadata.yaml` is not needed. Storage files in MCAP
are read by `mcap.py`. Timestamps are the times of recording, unless `ingest.time` names a field
such as `header.stamp`.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kinemill.ingest.raw import About, RawLog, Reader, Reason, Unreadable, reason
from kinemill.ingest.readers._messages import MessageCollector
from kinemill.ingest.readers._ros import Decoder, Undecodable, cut_log, decoder, first_line
from kinemill.task import Task
from kinemill.task.plugins import READERS

BAG = b"#ROSBAG V2.0"
SQLITE = b"SQLite format 3\0"
ZSTD = b"\x28\xb5\x2f\xfd"  # first bytes of a compressed message; those of CDR are 0 and 1
LARGEST = 1 << 28  # bytes of an unpacked message
DEFINITION = "record with ROS 2 Iron or later, which stores definitions, or convert to MCAP"
_ENCODINGS = {"MSG": "ros2msg", "IDL": "ros2idl", "NONE": ""}


def read(path: Path, task: Task) -> RawLog:
    """Read one bag file, with fields matched by `topic.field.sub[2]`.

    Timestamps are in ns. Of a cut bag, the messages before the cut are used.

    Raises:
        Unreadable: The file is not a bag or damaged, its types are unknown, or a field is missing.
    """
    gathering = MessageCollector(task)
    reasons = list[Reason]()
    count = 0
    try:
        for topic, data, decode, stamp in _messages(path, gathering):
            count += 1
            gathering.add(topic, data, decode, stamp)
    except BrokenBag as error:
        if not count:
            raise Unreadable(_whole(str(error))) from error
        reasons.append(cut_log(f"message {count + 1}", f"the bag {error}", count, "a whole bag"))
    return gathering.log(0, reasons)


class BrokenBag(Exception):
    """A bag cannot be opened, or cannot be read further."""


@contextmanager
def open_bag(path: Path) -> Generator[tuple[Any, bool]]:
    """Yield the reader of a bag, and whether it is of ROS 1.

    Raises:
        BrokenBag: It cannot be opened, or cannot be read further.
    """
    from rosbags import rosbag1, rosbag2

    with path.open("rb") as file:
        is_ros1 = file.read(len(BAG)) == BAG
    try:
        with rosbag1.Reader(path) if is_ros1 else rosbag2.Reader(path) as bag:
            yield bag, is_ros1
    except Unreadable:
        raise
    except Exception as error:  # errors of rosbags, and others that damaged bytes cause
        raise BrokenBag(f"cannot be read ({first_line(error)})") from error


def _messages(path: Path, gathering: MessageCollector) -> Iterator[tuple[str, bytes, Decoder, int]]:
    """Yield topic, bytes, decoder and timestamp, ns, of each requested message."""
    with open_bag(path) as (bag, is_ros1):
        decoders = _decoders(bag.connections, gathering, is_ros1)
        connections = [connection for connection in bag.connections if connection.id in decoders]
        for connection, stamp, data in bag.messages(connections) if connections else []:
            yield connection.topic, _unpack(data), decoders[connection.id], stamp


def _decoders(connections: Any, gathering: MessageCollector, ros1: bool) -> dict[int, Decoder]:
    """Return the decoder of each topic with a requested field; all topics if none is requested."""
    selected = [
        connection for connection in connections if gathering.wants(connection.topic)
    ] or list(connections)
    decoders: dict[int, Decoder] = {}
    reasons: list[Reason] = []
    for connection in selected:
        try:
            decoders[connection.id] = _decoder(connection, ros1)
        except Undecodable as error:
            where = f"topic {connection.topic}"
            expected = "a type that the bag defines, or a standard type of ROS 2"
            reasons.append(reason("encoding", where, str(error), expected=expected, fix=DEFINITION))
    if reasons and (not decoders or gathering.wants(selected[0].topic)):
        raise Unreadable(*reasons)
    return decoders


def _decoder(connection: Any, ros1: bool) -> Decoder:
    encoding = "ros1msg" if ros1 else _ENCODINGS[connection.msgdef.format.name]
    return decoder(connection.msgtype, encoding, connection.msgdef.data)


def _unpack(data: bytes) -> bytes:
    """Return a message that rosbag2 has compressed with zstd, or another message unchanged."""
    if not data.startswith(ZSTD):
        return data
    import zstandard

    size = zstandard.frame_content_size(data)
    if size > LARGEST:
        message = f"a message of {size} bytes"
        raise ValueError(message)
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def _whole(problem: str) -> Reason:
    fix = "copy it from the robot again; `rosbag reindex` repairs a ROS 1 bag that was not closed"
    return reason("format", "file", problem, expected="a ROS bag that was closed", fix=fix)


def _recognizes(head: bytes) -> bool:
    return head.startswith((BAG, SQLITE))


def about(path: Path) -> About:
    """Return the topics of a bag whose type has no definition, with reasons.

    Raises:
        Unreadable: The bag cannot be opened.
    """
    left_out = dict[str, str]()
    try:
        with open_bag(path) as (bag, is_ros1):
            for connection in bag.connections:
                try:
                    _decoder(connection, is_ros1)
                except Undecodable as error:
                    left_out[connection.topic] = f"{error}; {DEFINITION}"
    except BrokenBag as error:
        raise Unreadable(_whole(str(error))) from error
    return About(left_out=left_out)


READERS.register("rosbag")(Reader((".bag", ".db3"), _recognizes, read, about=about))
