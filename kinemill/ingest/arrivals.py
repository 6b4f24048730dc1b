"""What the arrival sensor sees of a drop folder: which logs are complete, and which are news.

No tick reads a large log: up to `WHOLE` bytes a file is known by its sha256, as the store knows it;
beyond that by its size and blocks of it, and by how the files looked that were read before.
"""

import hashlib
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from kinemill.ingest.file_stat import Entry, FileStat, Kept, stat_of
from kinemill.ingest.files import Found, nothing_found, scan
from kinemill.ingest.membership import is_member
from kinemill.ingest.scan_cache import open_book
from kinemill.store import file_digest
from kinemill.store.home import Home
from kinemill.task import Task

WHOLE = 4 * 2**20  # bytes; a few ms of hashing
_BLOCK, _BLOCKS = 2**14, 8  # bytes, and how many of them are looked at, the last among them
_PER_TICK = 2**28  # bytes that are read before the rest waits for the next tick
_KEPT = 200_000  # contents that are not read again as long as their files look the same


class News(NamedTuple):
    """What a drop folder holds that no ingest has read.

    Attributes:
        ids: of contents, hex; no two logs share one.
        more: there were too many for one tick; the next one sees the rest.
        known: whether any log of the folder was ever read.
    """

    ids: frozenset[str]
    more: bool
    known: bool


def settled(task: Task, home: Home, folder: Path, now: float | None = None) -> list[Path]:
    """Return the logs under `folder` that have not changed for `ingest.settle` seconds at `now`.

    Args:
        task: says which files are logs.
        home: where is kept which files were read already.
        folder: a drop folder; one that does not exist holds nothing.
        now: s since the epoch.
    """
    found = _look(task, folder, open_book(task, home, folder).files)
    return [sight.path for sight in sorted([*found.familiar, *_settled(task, found, now)])]


def news(task: Task, home: Home, folder: Path, now: float | None = None) -> News:
    """Tell which complete logs under `folder` no ingest has read.

    A rename or a copy is no news, nor is a touched file of up to `WHOLE` bytes. Each file is read
    once as long as it looks the same.

    Args:
        task: says which files are logs.
        home: where is kept which files were read already.
        folder: a drop folder; one that does not exist holds nothing.
        now: s since the epoch.
    """
    read = open_book(task, home, folder).files
    waiting = _settled(task, _look(task, folder, read), now)
    if not waiting:
        return News(frozenset(), more=False, known=bool(read))
    before, found = _Before(task, home, folder, read), _contents(waiting)
    new = {
        content for sight, content in found.items() if content and not before.has(sight, content)
    }
    known = bool(read) or len(new) < sum(1 for content in found.values() if content)
    return News(frozenset(new), more=len(found) < len(waiting), known=known)


class _Before:
    """What was read of a folder before: contents, and by size what a large log may be a copy of."""

    def __init__(self, task: Task, home: Home, folder: Path, read: Kept) -> None:
        self._task, self._home, self._folder = task.name, home, str(folder)
        self._contents = {hash_.hex() for _, hash_ in read.values()}
        self._large: dict[int, list[tuple[str, Entry]]] = {}
        for name, entry in read.items():
            if entry[0][0] > WHOLE:
                self._large.setdefault(entry[0][0], []).append((name, entry))

    def has(self, sight: FileStat, content: str) -> bool:
        """Return whether a log was read, under any name.

        The book leaves out files that were read within a second of their last change, as a run
        right after the logs were written does. Their recordings are members.
        """
        if sight.size <= WHOLE:
            return content in self._contents or is_member(self._home, self._task, content)
        return any(
            self._is(sight, content, name, entry) for name, entry in self._large.get(sight.size, [])
        )

    def _is(self, sight: FileStat, content: str, name: str, entry: Entry) -> bool:
        size, mtime_ns, _, inode = entry[0]
        if (sight.mtime_ns, sight.inode) == (mtime_ns, inode):
            return True  # renamed
        if known := _known.get(FileStat(self._folder, name, *entry[0])):
            return known == content
        if name == sight.name:
            return False  # it was written to, or touched
        with suppress(OSError):
            return _sample(Path(self._folder, name), size) == content
        return False


def _look(task: Task, folder: Path, read: Kept) -> Found:
    return scan(task, folder, read) if stat_of(folder) else nothing_found()


def _settled(task: Task, found: Found, now: float | None) -> list[FileStat]:
    """Return the files that are new, or look different, and are complete."""
    moment = time.time() if now is None else now
    return [sight for sight in found.logs if sight.age(moment) >= task.ingest.settle]


def _contents(waiting: list[FileStat]) -> dict[FileStat, str]:
    """Return what identifies the contents of logs, of as many as one tick has time to read.

    A file that is gone since it was seen, or not ours to read, has an empty one.
    """
    left, found = _PER_TICK, dict[FileStat, str]()
    for sight in waiting:
        if left <= 0:
            break
        if sight not in _known:
            left -= min(sight.size, WHOLE) + _BLOCK  # opening one costs as much as a block
            _known[sight] = _content(sight)
        found[sight] = _known[sight]
    for old in list(_known)[:-_KEPT]:
        del _known[old]
    return found


_known: dict[FileStat, str] = {}  # by this process


def _content(sight: FileStat) -> str:
    with suppress(OSError):
        whole = sight.size <= WHOLE
        return file_digest(sight.path) if whole else _sample(sight.path, sight.size)
    return ""


def _sample(path: Path, size: int) -> str:
    """Return the sha256 of a file's size and of blocks spread evenly over it."""
    found = hashlib.sha256(f"sample {size}".encode())
    with path.open("rb") as file:
        for number in range(_BLOCKS):
            file.seek((size - _BLOCK) * number // (_BLOCKS - 1))
            found.update(file.read(_BLOCK))
    return found.hexdigest()
