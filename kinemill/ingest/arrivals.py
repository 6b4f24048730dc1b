"""What the arrival sensor sees of a drop folder: which logs are complete, and which are news.

No tick reads a large log: up to `WHOLE` bytes a file is known by its sha256, as the store knows it;
beyond that by its size and blocks of it, and by how the files looked that were read before.
"""

import hashlib
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from kinemill.ingest.file_stat import CachedFiles, Entry, FileStat, stat_of
from kinemill.ingest.files import ScanResult, empty_scan, scan
from kinemill.ingest.membership import is_member
from kinemill.ingest.scan_cache import open_scan_cache
from kinemill.store import file_digest
from kinemill.store.home import Home
from kinemill.task import Task

WHOLE = 4 * 2**20  # bytes; a few ms of hashing
_BLOCK, _BLOCKS = 2**14, 8  # bytes, and how many of them are looked at, the last among them
_PER_TICK = 2**28  # bytes that are read before the rest waits for the next tick
_CACHE_SIZE = 200_000  # contents that are not read again as long as their files look the same


class NewLogs(NamedTuple):
    """What a drop folder holds that no ingest has read.

    Attributes:
        ids: of contents, hex; no two logs share one.
        more: there were too many for one tick; the next one sees the rest.
        any_read: whether any log of the folder was ever read.
    """

    ids: frozenset[str]
    more: bool
    any_read: bool


def settled_logs(task: Task, home: Home, folder: Path, now: float | None = None) -> list[Path]:
    """Return the logs under `folder` that at `now` are unchanged for `ingest.min_file_age` s.

    Args:
        task: says which files are logs.
        home: where is kept which files were read already.
        folder: a drop folder; one that does not exist holds nothing.
        now: s since the epoch.
    """
    result = _scan_folder(task, folder, open_scan_cache(task, home, folder).files)
    return [
        file_stat.path for file_stat in sorted([*result.unchanged, *_settled(task, result, now)])
    ]


def find_new_logs(task: Task, home: Home, folder: Path, now: float | None = None) -> NewLogs:
    """Tell which complete logs under `folder` no ingest has read.

    A rename or a copy is no news, nor is a touched file of up to `WHOLE` bytes. Each file is read
    once as long as it looks the same.

    Args:
        task: says which files are logs.
        home: where is kept which files were read already.
        folder: a drop folder; one that does not exist holds nothing.
        now: s since the epoch.
    """
    read = open_scan_cache(task, home, folder).files
    waiting = _settled(task, _scan_folder(task, folder, read), now)
    if not waiting:
        return NewLogs(frozenset(), more=False, any_read=bool(read))
    history, contents = _ReadHistory(task, home, folder, read), _contents(waiting)
    new = {
        content
        for file_stat, content in contents.items()
        if content and not history.has(file_stat, content)
    }
    any_read = bool(read) or len(new) < sum(1 for content in contents.values() if content)
    return NewLogs(frozenset(new), more=len(contents) < len(waiting), any_read=any_read)


class _ReadHistory:
    """What was read of a folder before: contents, and by size what a large log may be a copy of."""

    def __init__(self, task: Task, home: Home, folder: Path, read: CachedFiles) -> None:
        self._task, self._home, self._folder = task.name, home, str(folder)
        self._contents = {hash_.hex() for _, hash_ in read.values()}
        self._large: dict[int, list[tuple[str, Entry]]] = {}
        for name, entry in read.items():
            if entry[0][0] > WHOLE:
                self._large.setdefault(entry[0][0], []).append((name, entry))

    def has(self, file_stat: FileStat, content: str) -> bool:
        """Return whether a log was read, under any name.

        The book leaves out files that were read within a second of their last change, as a run
        right after the logs were written does. Their recordings are members.
        """
        if file_stat.size <= WHOLE:
            return content in self._contents or is_member(self._home, self._task, content)
        return any(
            self._is_same(file_stat, content, name, entry)
            for name, entry in self._large.get(file_stat.size, [])
        )

    def _is_same(self, file_stat: FileStat, content: str, name: str, entry: Entry) -> bool:
        size, mtime_ns, _, inode = entry[0]
        if (file_stat.mtime_ns, file_stat.inode) == (mtime_ns, inode):
            return True  # renamed
        if cached := _content_cache.get(FileStat(self._folder, name, *entry[0])):
            return cached == content
        if name == file_stat.name:
            return False  # it was written to, or touched
        with suppress(OSError):
            return _sample(Path(self._folder, name), size) == content
        return False


def _scan_folder(task: Task, folder: Path, read: CachedFiles) -> ScanResult:
    return scan(task, folder, read) if stat_of(folder) else empty_scan()


def _settled(task: Task, result: ScanResult, now: float | None) -> list[FileStat]:
    """Return the files that are new, or look different, and are complete."""
    moment = time.time() if now is None else now
    return [
        file_stat for file_stat in result.logs if file_stat.age(moment) >= task.ingest.min_file_age
    ]


def _contents(waiting: list[FileStat]) -> dict[FileStat, str]:
    """Return what identifies the contents of logs, of as many as one tick has time to read.

    A file that is gone since it was seen, or not ours to read, has an empty one.
    """
    bytes_left, contents = _PER_TICK, dict[FileStat, str]()
    for file_stat in waiting:
        if bytes_left <= 0:
            break
        if file_stat not in _content_cache:
            bytes_left -= (
                min(file_stat.size, WHOLE) + _BLOCK
            )  # opening one costs as much as a block
            _content_cache[file_stat] = _content(file_stat)
        contents[file_stat] = _content_cache[file_stat]
    for old in list(_content_cache)[:-_CACHE_SIZE]:
        del _content_cache[old]
    return contents


_content_cache: dict[FileStat, str] = {}  # by this process


def _content(file_stat: FileStat) -> str:
    with suppress(OSError):
        whole = file_stat.size <= WHOLE
        return file_digest(file_stat.path) if whole else _sample(file_stat.path, file_stat.size)
    return ""


def _sample(path: Path, size: int) -> str:
    """Return the sha256 of a file's size and of blocks spread evenly over it."""
    hasher = hashlib.sha256(f"sample {size}".encode())
    with path.open("rb") as file:
        for number in range(_BLOCKS):
            file.seek((size - _BLOCK) * number // (_BLOCKS - 1))
            hasher.update(file.read(_BLOCK))
    return hasher.hexdigest()
