"""File stats: detect changed files without reading them."""

import os
import stat
import struct
from pathlib import Path
from typing import NamedTuple

from kinemill.store.json_io import valid_text


class FileStat(NamedTuple):
    """The stat of a file, which differs between a changed file and an unchanged one.

    It includes the time of the last status change, which no user can set back.
    """

    folder: str
    name: str  # relative to the folder, with forward slashes
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @property
    def path(self) -> Path:
        """Path of the file."""
        return Path(self.folder, self.name)

    @property
    def label(self) -> str:
        """The name as valid Unicode, for everything that is stored or shown."""
        return valid_text(self.name)

    def age(self, now: float) -> float:
        """Return the time between the last change and `now`, s, as an absolute value.

        So a timestamp in the future, from a robot whose clock is wrong, ages as well.
        """
        return abs(now - self.mtime_ns / 1e9)


StatKey = tuple[int, int, int, int]  # size, times of the last changes of content and status, inode
Entry = tuple[StatKey, bytes]  # stat of a file, and its content hash
_PACKED = struct.Struct("<qqqQ")
NOTHING = bytes(32)  # in place of a content hash: side-car files are not stored


def stat_key(status: os.stat_result) -> StatKey:
    """Return the stat of a file as a key."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def pack_stat(size: int, mtime_ns: int, ctime_ns: int, inode: int) -> bytes:
    """Return a stat as 32 bytes; equal bytes are equal stats."""
    return _PACKED.pack(size, mtime_ns, ctime_ns, inode)


def unpack_stat(packed: bytes) -> StatKey:
    """Return a stat from its bytes."""
    size, mtime_ns, ctime_ns, inode = _PACKED.unpack(packed)
    return size, mtime_ns, ctime_ns, inode


def read_file_stat(folder: str, name: str) -> FileStat | None:
    """Return the stat of a file; None if it is missing, unreachable or no regular file."""
    status = stat_of(Path(folder, name))
    return (
        FileStat(folder, name, *stat_key(status))
        if status and stat.S_ISREG(status.st_mode)
        else None
    )


def stat_of(path: Path) -> os.stat_result | None:
    """Return the stat of a path; None if it is missing or cannot be followed.

    Unlike `Path.is_file`, this covers names that are too long, loops of links and folders without
    access: in a folder of logs each of these affects one file only.
    """
    try:
        return path.stat()
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None


def is_file(path: Path) -> bool:
    """Return whether a path leads to a regular file that can be reached."""
    status = stat_of(path)
    return status is not None and stat.S_ISREG(status.st_mode)


def is_folder(path: Path) -> bool:
    """Return whether a path leads to a folder that can be reached."""
    status = stat_of(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


def real_path(path: Path) -> Path:
    """Return the path without links; a loop of links, which `Path.resolve` refuses, is kept."""
    return Path(os.path.realpath(path))
