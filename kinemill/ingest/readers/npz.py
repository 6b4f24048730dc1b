"""NumPy logs: `.npz` with one array for each name, or one `.npy`, whose array is `arr_0`.

Columns of a matrix are `x[3]`; fields of a structured array are `log[angle]`, or in a `.npy` their
own names. Pickled objects are refused.
"""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from kinemill.ingest.raw import About, RawLog, Reader
from kinemill.ingest.readers._arrays import (
    Array,
    Values,
    damaged_file,
    only_number,
    read_texts,
    unusable_array,
)
from kinemill.ingest.readers._tree import labels_of, read_tree
from kinemill.task import Task
from kinemill.task.plugins import READERS

NPY = b"\x93NUMPY"
ZIP = b"PK\x03\x04"
ALONE = "arr_0"  # name of an unnamed array in numpy.savez
_DAMAGE = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    MemoryError,
    RuntimeError,  # an encrypted member
    SyntaxError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)


def read(path: Path, task: Task) -> RawLog | list[RawLog]:
    """Read the arrays that the task names.

    Raises:
        Unreadable: The file is damaged, declares more than it holds, or lacks an array.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(NPY)) == NPY:
                return read_tree(_Npy(path), task)
        with zipfile.ZipFile(path) as archive:
            return read_tree(_Npz(archive), task)
    except _DAMAGE as error:
        raise damaged_file("NumPy", error) from error


def read_names(path: Path, name: str) -> list[str]:
    """Return the texts of an array of a `.npz`; [] if it holds none under this name.

    Raises:
        Unreadable: Their declared size is implausible.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _Npz(archive).texts("", name) or []
    except _DAMAGE:
        return []


def _about(path: Path) -> About:
    """Return the names that arrays of texts list for the columns of matrices."""
    try:
        with zipfile.ZipFile(path) as archive:
            return About(labels=labels_of(_Npz(archive)))
    except _DAMAGE:  # one array, or damage that `read` reports
        return About()


class _Npy:
    """One array."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._array = _read_header(file, path.stat().st_size, lambda: path.open("rb"))

    def groups(self, stop_at: Callable[[str], bool]) -> Iterator[str]:
        del stop_at
        yield from ()

    def arrays(self, group: str) -> dict[str, Array]:
        del group
        return {"" if self._array.dtype.names else ALONE: self._array}

    def number(self, group: str, name: str) -> float | None:
        del group, name
        return None

    def texts(self, group: str, name: str) -> list[str] | None:
        del group
        return read_texts(self._array) if name == ALONE else None


class _Npz:
    """A zip archive of arrays; a `/` in a name makes a group."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members = {
            member.filename.removesuffix(".npy"): member
            for member in archive.infolist()
            if member.filename.endswith(".npy")
        }

    def groups(self, stop_at: Callable[[str], bool]) -> Iterator[str]:
        del stop_at
        names = (name.split("/")[:-1] for name in self._members)
        paths = ("/".join(path[: depth + 1]) for path in names for depth in range(len(path)))
        yield from dict.fromkeys(paths)

    def arrays(self, group: str) -> dict[str, Array]:
        below = f"{group}/" if group else ""
        return {
            name.removeprefix(below): self._array(member)
            for name, member in self._members.items()
            if name.startswith(below)
        }

    def number(self, group: str, name: str) -> float | None:
        member = self._members.get(f"{group}/{name}" if group else name)
        return only_number(self._array(member)) if member else None

    def texts(self, group: str, name: str) -> list[str] | None:
        member = self._members.get(f"{group}/{name}" if group else name)
        return read_texts(self._array(member)) if member else None

    def _array(self, member: zipfile.ZipInfo) -> Array:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            trouble = f"is compressed by method {member.compress_type}, not by deflate"
            return unusable_array(trouble)
        with self._archive.open(member) as file:
            return _read_header(
                file, member.file_size, lambda: self._archive.open(member), member.compress_size
            )


def _read_header(
    file: IO[bytes], size: int, reopen: Callable[[], IO[bytes]], stored: int | None = None
) -> Array:
    """Read the header of an array at the start of `file`, which holds `size` bytes."""
    version = np.lib.format.read_magic(file)
    headers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in headers:
        return unusable_array(f"is written in version {version} of the format, not 1.0 or 2.0")
    shape, _, dtype = headers[version](file)
    if dtype.hasobject:
        return unusable_array("holds pickled objects, which could run code; they are not read")

    is_time = dtype.kind in "mM"  # read as ns

    def load() -> Values:
        with reopen() as stream:
            values = np.lib.format.read_array(stream, allow_pickle=False)
        return values.astype(f"{dtype.kind}8[ns]").astype(np.int64) if is_time else values

    array = Array(tuple(shape), np.dtype(np.int64) if is_time else dtype, load, stored)
    if min(shape, default=0) < 0 or file.tell() + array.size > size:
        return unusable_array(f"declares the shape {shape}, and the file holds {size} bytes")
    return array


def _recognizes(head: bytes) -> bool:
    return head.startswith(NPY) or (head.startswith(ZIP) and b".npy" in head[:300])


READERS.register("npz")(Reader((".npz", ".npy"), _recognizes, read, about=_about))
