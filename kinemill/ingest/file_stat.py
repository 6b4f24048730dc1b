"""File stats: detect changed files without reading them."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
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
CachedFiles = Mapping[str, Entry]  # by name
NOTHING = bytes(32)  # in place of a content hash: side-car files are not stored


class UnchangedFiles(Mapping[FileStat, bytes]):
    """Content hashes, 32 bytes, of files whose stat is unchanged.

    `FileStat` objects are created on demand: of a hundred thousand files usually none is needed.

    Args:
        folder: folder of the files.
        files: stats and hashes by name.
    """

    def __init__(self, folder: str, files: CachedFiles) -> None:
        self._folder, self.files = folder, files

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[FileStat]:
        return (FileStat(self._folder, name, *key) for name, (key, _) in self.files.items())

    def __getitem__(self, file_stat: FileStat) -> bytes:
        key, hash_ = self.files[file_stat.name]
        if file_stat[2:] != key:
            raise KeyError(file_stat)
        return hash_

    def contents(self) -> set[bytes]:
        """Return the hashes."""
        return {hash_ for _, hash_ in self.files.values()}

    def without(self, file_stats: Iterable[FileStat]) -> "UnchangedFiles":
        """Return the files without some."""
        names = {file_stat.name for file_stat in file_stats}
        if not names:
            return self
        rest = {name: entry for name, entry in self.files.items() if name not in names}
        return UnchangedFiles(self._folder, rest)


def stat_key(status: os.stat_result) -> StatKey:
    """Return the stat of a file as a key."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


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
