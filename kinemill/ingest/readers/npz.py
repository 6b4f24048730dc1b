"""NumPy logs: `.npz` with one array for each name, or one `.npy`, whose array is `arr_0`.

Columns of a matrix are `x[3]`; fields of a structured array are `log[angle]`, or in a `.npy` their
own names. Pickled objects are refused.
"""

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np

from kinemill.ingest.raw import About, RawLog, Reader
from kinemill.ingest.readers._arrays import Array, Values, damaged_file, unusable_array
from kinemill.ingest.readers._tree import ArrayTree, labels_of, read_tree
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
                return read_tree(_npy(path), task)
        with zipfile.ZipFile(path) as archive:
            return read_tree(_npz(archive), task)
    except _DAMAGE as error:
        raise damaged_file("NumPy", error) from error


def read_names(path: Path, name: str) -> list[str]:
    """Return the texts of an array of a `.npz`; [] if it holds none under this name.

    Raises:
        Unreadable: Their declared size is implausible.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _npz(archive).texts("", name) or []
    except _DAMAGE:
        return []


def _about(path: Path) -> About:
    """Return the names that arrays of texts list for the columns of matrices."""
    try:
        with zipfile.ZipFile(path) as archive:
            return About(labels=labels_of(_npz(archive)))
    except _DAMAGE:  # one array, or damage that `read` reports
        return About()


def _npy(path: Path) -> ArrayTree:
    """Return the only array of a file."""
    with path.open("rb") as file:
        array = _read_header(file, path.stat().st_size, lambda: path.open("rb"))
    return ArrayTree({"" if array.dtype.names else ALONE: array})


def _npz(archive: zipfile.ZipFile) -> ArrayTree:
    """Return the arrays of an archive; a `/` in a name makes a group."""

    def array(member: zipfile.ZipInfo) -> Array:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            trouble = f"is compressed by method {member.compress_type}, not by deflate"
            return unusable_array(trouble)
        with archive.open(member) as file:
            return _read_header(
                file, member.file_size, lambda: archive.open(member), member.compress_size
            )

    members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
    return ArrayTree({member.filename.removesuffix(".npy"): array(member) for member in members})


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
        if not is_time:
            return values
        stamps = values.astype(f"{dtype.kind}8[ns]")
        is_missing = np.isnat(stamps)
        whole = stamps.astype(np.int64)
        return np.where(is_missing, np.nan, whole) if is_missing.any() else whole

    array = Array(tuple(shape), np.dtype(np.int64) if is_time else dtype, load, stored)
    if min(shape, default=0) < 0 or file.tell() + array.size > size:
        return unusable_array(f"declares the shape {shape}, and the file holds {size} bytes")
    return array


def _recognizes(head: bytes) -> bool:
    return head.startswith(NPY) or (head.startswith(ZIP) and b".npy" in head[:300])


READERS.register("npz")(Reader((".npz", ".npy"), _recognizes, read, about=_about))
