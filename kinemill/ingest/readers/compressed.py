"""Compressed logs: a log of another format in gzip, bzip2, xz or Zstandard, such as `run.csv.gz`.

The content is unpacked into a temporary folder, and the reader of its format reads it there. The
stored log stays compressed. Of a file that ends early, such as one that its recorder did not close,
what can be unpacked is read. Archives of several files (tar, zip) are not logs.
"""

import bz2
import gzip
import io
import lzma
import shutil
import weakref
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import BinaryIO, Protocol, cast

import numpy as np

from kinemill.ingest.raw import About, Images, Pictures, RawLog, Reader, Reason, Unreadable, reason
from kinemill.ingest.readers._limits import LARGEST_UNPACKED, RATIO, unpacked_limit
from kinemill.ingest.unsupported_formats import unsupported_format
from kinemill.task import Task
from kinemill.task.plugins import READERS

NO_FORMAT = "write it as CSV, or leave it out at `ingest.exclude`"
FORMAT = "compressed"  # its name as `ingest.format`
HEAD = 4096  # bytes by which the inner format is recognized
_BLOCK = 1 << 16  # at the end of a cut file, less than one block is lost
_MEMORY = 128 << 20  # bytes of a decompressor; xz -9 takes 65 MB
_PIECE = 64  # the same, of a head
_DAMAGE = (OSError, zlib.error, lzma.LZMAError)

Rows = np.ndarray[tuple[int], np.dtype[np.int64]]


class _Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class _Compression:
    """How to unpack one compression.

    Attributes:
        name: name of the compression, for errors.
        command: command that unpacks its files.
        magic: first bytes of its files.
        open: function that returns the content of a file; its `read` raises `EOFError` if the file
            is cut.
    """

    name: str
    command: str
    magic: bytes
    open: Callable[[BinaryIO], _Source]


class _Zstandard:
    """Content of a Zstandard file of one frame or several."""

    def __init__(self, file: BinaryIO) -> None:
        import pyarrow as pa

        self._stream = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")

    def read(self, size: int, /) -> bytes:
        """Return the next bytes.

        Raises:
            EOFError: The file is cut.
            OSError: It is damaged.
        """
        try:
            return cast(bytes, self._stream.read(size))
        except OSError as error:
            if "Truncated" in str(error):
                raise EOFError(str(error)) from error
            raise


class _Xz:
    """Content of an xz file of one stream or several, with a bound on the memory of each.

    `lzma.LZMAFile` takes as much as a stream declares, up to 4 GB.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._stream: lzma.LZMADecompressor | None = None
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes.

        Raises:
            EOFError: The file is cut.
            LZMAError: It is damaged, or a stream takes more memory than `_MEMORY`.
        """
        while True:
            if self._stream is None or self._stream.eof:
                self._rest = (self._rest or self._file.read(_BLOCK)).lstrip(b"\0")  # padding
                if not self._rest:
                    return b""
                self._stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
            elif self._stream.needs_input:
                self._rest = self._file.read(_BLOCK)
                if not self._rest:
                    raise EOFError("the xz stream is not complete")
            content = self._stream.decompress(self._rest, size)
            self._rest = self._stream.unused_data
            if content:
                return content


_COMPRESSIONS = {
    ".gz": _Compression("gzip", "gunzip", b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    ".bz2": _Compression("bzip2", "bunzip2", b"BZh", bz2.BZ2File),
    ".xz": _Compression("xz", "unxz", b"\xfd7zXZ\x00", _Xz),
    ".zst": _Compression("Zstandard", "unzstd", b"\x28\xb5\x2f\xfd", _Zstandard),
}


class _Folder:
    """A temporary folder that exists as long as this object does."""

    def __init__(self) -> None:
        self.path = Path(mkdtemp(prefix="kinemill-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


@contextmanager
def temporary_copy(path: Path) -> Generator[Path]:
    """Yield the path of the unpacked content of a compressed log, which is deleted at the end.

    Raises:
        Unreadable: It is damaged, or too large.
    """
    folder = _Folder()
    yield _unpack(path, folder.path)[0]


def read(path: Path, task: Task) -> RawLog | list[RawLog]:
    """Unpack one log, and read it with the reader of its format.

    Raises:
        Unreadable: It is damaged or too large, no reader recognizes the content, or the content
            cannot be read.
    """
    folder = _Folder()
    content, problem = _unpack(path, folder.path)
    logs = _reader_of(content, task.ingest.format).read(content, task)
    parts = [_keep(log, folder) for log in (logs if isinstance(logs, list) else [logs])]
    if problem is not None:
        parts = [replace(log, reasons=[problem, *log.reasons]) for log in parts]
    return parts if isinstance(logs, list) else parts[0]


def _unpack(path: Path, folder: Path) -> tuple[Path, Reason | None]:
    """Unpack a file into `folder`; return the content, and a reason if the file is cut."""
    with path.open("rb") as file:
        compression = _compression_of(file.read(HEAD))
    if compression is None:
        what, fix = unsupported_format(path) or ("of a format that no reader recognizes", NO_FORMAT)
        listed = f"one of the formats {', '.join(READERS)}"
        raise Unreadable(reason("format", "file", f"is {what}", expected=listed, fix=fix))
    suffix = path.suffix.lower()
    content = folder / (path.stem if suffix in _COMPRESSIONS else path.name)
    limit = unpacked_limit(path.stat().st_size)
    size = 0
    try:
        with path.open("rb") as file, content.open("wb") as target:
            source = compression.open(file)
            while block := source.read(_BLOCK):
                if (size := size + len(block)) > limit:
                    raise Unreadable(
                        _too_large(path, compression, f"unpack to more than {limit} bytes")
                    )
                target.write(block)
    except EOFError:
        return content, _cut(compression, size)
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk
            raise
        if "memory" in str(error).lower():  # its window or dictionary is too large
            raise Unreadable(
                _too_large(path, compression, f"take too much memory ({error})")
            ) from error
        raise Unreadable(
            _problem(f"is not an intact {compression.name} file ({error})", "copy it again")
        ) from error
    return content, None


def _too_large(path: Path, compression: _Compression, problem: str) -> Reason:
    return reason(
        "size",
        "file",
        f"{path.stat().st_size} bytes of {compression.name} {problem}",
        expected=f"at most {RATIO} times its size, and {LARGEST_UNPACKED} bytes",
        fix=f"if the log is real, unpack it ({compression.command} LOG), and read the result",
    )


def _problem(actual: str, fix: str) -> Reason:
    expected = "a log in " + ", ".join(compression.name for compression in _COMPRESSIONS.values())
    return reason("format", "file", actual, expected=expected, fix=fix)


def _cut(compression: _Compression, size: int) -> Reason:
    return reason(
        "cut_file",
        "file",
        f"the {compression.name} file ends early; {size} bytes were unpacked",
        expected="a complete file",
        fix="nothing to do: the rest is lost, unless a complete copy exists",
    )


def _compression_of(head: bytes) -> _Compression | None:
    return next(
        (
            compression
            for compression in _COMPRESSIONS.values()
            if head.startswith(compression.magic)
        ),
        None,
    )


def _inner(form: str) -> list[Reader]:
    """Return the readers of content of a format, or of any with `auto`."""
    return [
        reader
        for name, reader in READERS.items()
        if form in ("auto", FORMAT, name) and reader.read is not read
    ]


def _reader_of(content: Path, form: str = "auto") -> Reader:
    """Return the reader of unpacked content, by its first bytes, else by its name.

    Raises:
        Unreadable: There is none.
    """
    with content.open("rb") as file:
        head = file.read(HEAD)
    by_content = [reader for reader in _inner(form) if reader.recognizes(head)]
    by_name = [
        reader
        for reader in _inner(form)
        if content.name.lower().endswith(reader.suffixes) and (not reader.shared or form != "auto")
    ]
    if not (readers := [*by_content, *by_name]):
        fix = "extract an archive; name the log by its format, such as run.csv.gz"
        which = "no reader recognizes" if form == "auto" else f"is no {form} (ingest.format)"
        raise Unreadable(_problem(f"holds something that {which}", fix))
    return readers[0]


def _keep(log: RawLog, folder: _Folder) -> RawLog:
    """Return a log whose images keep the unpacked content until they are read."""
    media = {
        name: replace(content, read=partial(_read_images, folder, content.read))
        if isinstance(content, Images)
        else content
        for name, content in log.media.items()
    }
    return replace(log, media=media)


def _read_images(
    _folder: _Folder, read_rows: Callable[[Rows], Iterator[Pictures]], rows: Rows
) -> Iterator[Pictures]:
    return read_rows(rows)


def of_format(form: str) -> Reader:
    """Return the reader of compressed logs of one format alone."""
    return replace(
        READERS[FORMAT],
        recognizes=partial(_recognizes, form=form),
        about=partial(_about, form=form),
        attributes=partial(_attributes, form=form),
    )


def _recognizes(head: bytes, form: str = "auto") -> bool:
    """Return whether a file holds a log, as far as its first bytes can be unpacked.

    bzip2 and Zstandard unpack whole blocks: the first bytes of a long file show nothing.
    """
    compression = _compression_of(head)
    if compression is None:
        return False
    inner = b""
    # The head is a part of the file, so it ends early; `read` reports damage.
    with suppress(EOFError, *_DAMAGE):
        source = compression.open(io.BytesIO(head))
        while len(inner) < HEAD and (piece := source.read(_PIECE)):
            inner += piece
    return not inner or any(reader.recognizes(inner) for reader in _inner(form))


def _about(path: Path, form: str = "auto") -> About:
    with temporary_copy(path) as content:
        return _reader_of(content, form).about(content)


def _attributes(path: Path, form: str = "auto") -> dict[str, str]:
    with temporary_copy(path) as content:
        return _reader_of(content, form).attributes(content)


READERS.register(FORMAT)(
    Reader(
        tuple(_COMPRESSIONS), _recognizes, read, shared=True, about=_about, attributes=_attributes
    )
)
