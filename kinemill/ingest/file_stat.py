"""How files look, which tells those that have changed from those that have not, unread."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from kinemill.store.json_io import valid_text


class FileStat(NamedTuple):
    """One file as it was seen: what tells a changed file from an unchanged one.

    The time at which its status changed is among it, because nobody can set that one back.
    """

    folder: str
    name: str  # relative to the folder, with forward slashes
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return Path(self.folder, self.name)

    @property
    def label(self) -> str:
        """The name as valid Unicode, for everything that is stored or shown."""
        return valid_text(self.name)

    def age(self, now: float) -> float:
        """Return the distance, in s, of the last change from `now`.

        A stamp in the future, of a robot whose clock is off, ages like one in the past.
        """
        return abs(now - self.mtime_ns / 1e9)


Look = tuple[int, int, int, int]  # size, times of the last changes of content and status, inode
Entry = tuple[Look, bytes]  # how a file looked, and its content hash
Kept = Mapping[str, Entry]  # by name
NOTHING = bytes(32)  # in place of a content hash: a side-car is looked at, not kept


class Familiar(Mapping[FileStat, bytes]):
    """Content hashes, 32 bytes, of files that look the same as before.

    Their sights are made when they are asked for: of a hundred thousand files none is, mostly.

    Args:
        folder: where the files lie.
        files: looks and hashes by name.
    """

    def __init__(self, folder: str, files: Kept) -> None:
        self._folder, self.files = folder, files

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[FileStat]:
        return (FileStat(self._folder, name, *look) for name, (look, _) in self.files.items())

    def __getitem__(self, sight: FileStat) -> bytes:
        look, hash_ = self.files[sight.name]
        if sight[2:] != look:
            raise KeyError(sight)
        return hash_

    def contents(self) -> set[bytes]:
        """Return the hashes alone."""
        return {hash_ for _, hash_ in self.files.values()}

    def without(self, sights: Iterable[FileStat]) -> "Familiar":
        """Return all but some."""
        names = {sight.name for sight in sights}
        if not names:
            return self
        rest = {name: kept for name, kept in self.files.items() if name not in names}
        return Familiar(self._folder, rest)


def look_of(found: os.stat_result) -> Look:
    """Return how a file looks."""
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def see(folder: str, name: str) -> FileStat | None:
    """Return the stat of a file; None if it is gone, out of reach or no regular file."""
    found = stat_of(Path(folder, name))
    return (
        FileStat(folder, name, *look_of(found)) if found and stat.S_ISREG(found.st_mode) else None
    )


def stat_of(path: Path) -> os.stat_result | None:
    """Return the stat of a path; None if there is nothing, or the path cannot be followed.

    Unlike `Path.is_file`, this covers names that are too long, loops of links and folders without
    access: in a folder of logs each of these concerns one file alone.
    """
    try:
        return path.stat()
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return None


def is_file(path: Path) -> bool:
    """Return whether a path leads to a regular file that can be reached."""
    found = stat_of(path)
    return found is not None and stat.S_ISREG(found.st_mode)


def is_folder(path: Path) -> bool:
    """Return whether a path leads to a folder that can be reached."""
    found = stat_of(path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def real_path(path: Path) -> Path:
    """Return the path without links; a loop of links, which `Path.resolve` refuses, is kept."""
    return Path(os.path.realpath(path))
