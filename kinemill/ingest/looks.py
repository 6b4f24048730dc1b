"""How files look, which tells those that have changed from those that have not, unread."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple


class Sight(NamedTuple):
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

    def age(self, now: float) -> float:
        """Return the distance, in s, of the last change from `now`.

        A stamp in the future, of a robot whose clock is off, ages like one in the past.
        """
        return abs(now - self.mtime_ns / 1e9)


Look = tuple[int, int, int, int]  # size, times of the last changes of content and status, inode
Entry = tuple[Look, bytes]  # how a file looked, and its content hash
Kept = Mapping[str, Entry]  # by name
NOTHING = bytes(32)  # in place of a content hash: a side-car is looked at, not kept


class Familiar(Mapping[Sight, bytes]):
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

    def __iter__(self) -> Iterator[Sight]:
        return (Sight(self._folder, name, *look) for name, (look, _) in self.files.items())

    def __getitem__(self, sight: Sight) -> bytes:
        look, hash_ = self.files[sight.name]
        if sight[2:] != look:
            raise KeyError(sight)
        return hash_

    def contents(self) -> set[bytes]:
        """Return the hashes alone."""
        return {hash_ for _, hash_ in self.files.values()}

    def without(self, sights: Iterable[Sight]) -> "Familiar":
        """Return all but some."""
        names = {sight.name for sight in sights}
        if not names:
            return self
        rest = {name: kept for name, kept in self.files.items() if name not in names}
        return Familiar(self._folder, rest)


def look_of(found: os.stat_result) -> Look:
    """Return how a file looks."""
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def see(folder: str, name: str) -> Sight | None:
    """Look at a file; None if it is gone or no regular file."""
    path = Path(folder, name)
    try:
        return Sight(folder, name, *look_of(path.stat())) if path.is_file() else None
    except OSError:
        return None
