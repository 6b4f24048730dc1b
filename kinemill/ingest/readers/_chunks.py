"""Records of an MCAP file from its start, as far as they are intact."""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kinemill.ingest.raw import Unreadable, reason

MAGIC = b"\x89MCAP0\r\n"
FOOTER = 2
SCHEMA = 3
CHANNEL = 4
MESSAGE = 5
CHUNK = 6
INDEX = 7
STATISTICS = 11
ATTACHMENT = 9
LARGEST_CHUNK = 1 << 30  # uncompressed bytes; writers make chunks of about 1 MB
_HEAD = struct.Struct("<BQ")
_FOOTER = struct.Struct("<BQQQI")


class Damaged(Exception):
    """A record of an MCAP file is invalid or cut."""


class Record(NamedTuple):
    """One record of an MCAP file.

    Attributes:
        opcode: type of the record.
        payload: its content.
        offset: its first byte in the file, or that of its chunk.
        cut: whether the file ends inside it.
    """

    opcode: int
    payload: bytes
    offset: int
    cut: bool = False


def records(path: Path) -> Iterator[Record]:
    """Yield the records of a file up to its footer; skip attachments.

    Raises:
        Unreadable: It is not an MCAP file.
        Damaged: The file ends before its footer, or bytes are not a record.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            problem = "does not begin as an MCAP file does"
            raise Unreadable(
                reason("format", "file", problem, expected="an MCAP file", fix="copy it again")
            )
        while True:
            offset = file.tell()
            head = file.read(_HEAD.size)
            if len(head) < _HEAD.size:
                raise Damaged(f"ends at byte {size} without a footer")
            opcode, length = _HEAD.unpack(head)
            cut = length > size - file.tell()
            if opcode == 0 or (cut and opcode > 0x0F):
                raise Damaged(f"holds no record at byte {offset}")
            if opcode == FOOTER:
                return
            if opcode == ATTACHMENT and not cut:
                file.seek(length, io.SEEK_CUR)
                continue
            yield Record(opcode, file.read(min(length, size - file.tell())), offset, cut)
            if cut:
                raise Damaged(f"ends at byte {size}, inside a record of {length} bytes")


def definitions(path: Path) -> Iterator[Record]:
    """Yield the schemas and channels in the summary at the end of a file, if it is intact.

    The chunk of their first message holds them too, but may be damaged.
    """
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - _FOOTER.size - len(MAGIC)))
        footer = file.read(_FOOTER.size)
        if len(footer) < _FOOTER.size:
            return
        opcode, length, start, *_ = _FOOTER.unpack(footer)
        if opcode != FOOTER or length != 20 or not 0 < start < size:
            return
        file.seek(start)
        summary = file.read(size - start)
    yield from (
        chunk_record
        for chunk_record in inner(summary, start)
        if chunk_record.opcode in {SCHEMA, CHANNEL}
    )


def unpack(record: Record) -> bytes:
    """Return the bytes of a chunk; for a cut one, as many as can be decompressed.

    Raises:
        Damaged: Its checksum or size is wrong, or it cannot be decompressed.
    """
    try:
        _, _, size, crc, name = struct.unpack_from("<QQQII", record.payload)
        start = 32 + name + 8
        compression = record.payload[32 : 32 + name].decode()
        data = record.payload[start:]
        if size > LARGEST_CHUNK:
            raise Damaged(f"declares an unpacked size of {size / 1e9:.3g} GB")
        out = _decompress(compression, data, size)
    except (struct.error, UnicodeDecodeError) as error:
        raise Damaged(str(error)) from error
    if record.cut:
        return out[:size]
    if len(out) != size or (crc and zlib.crc32(out) != crc):
        raise Damaged("unpacked data does not match its size and checksum")
    return out


def _decompress(compression: str, data: bytes, size: int) -> bytes:
    """Decompress at most `size` + 1 bytes, regardless of the declared size."""
    import lz4.frame
    import zstandard

    try:
        if compression == "zstd":
            with zstandard.ZstdDecompressor().stream_reader(data) as stream:
                return stream.read(size + 1)
        if compression == "lz4":
            return lz4.frame.LZ4FrameDecompressor().decompress(data, max_length=size + 1)
    except (zstandard.ZstdError, RuntimeError, EOFError) as error:
        raise Damaged(str(error)) from error
    if compression:
        raise Damaged(f"is compressed by {compression!r}, which is not known")
    return data


def inner(data: bytes, offset: int) -> Iterator[Record]:
    """Yield the records in the bytes of a chunk, up to the first that is cut.

    Args:
        data: bytes of the chunk, decompressed.
        offset: offset of the chunk in the file.
    """
    at = 0
    while at + _HEAD.size <= len(data):
        opcode, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if length > len(data) - at:
            return
        yield Record(opcode, data[at : at + length], offset)
        at += length
