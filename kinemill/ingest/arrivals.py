"""Arrivals: which logs of a drop folder are complete and were not read yet, for the log sensor.

A tick that finds nothing new is cached together with a watch on the folder: until something changes
there, the next ticks stat no file. No tick reads a large log. Up to `WHOLE` bytes a file is
identified by its sha256, as in the store; above that by its size, a sample of its blocks, and the
stats of files that were read before.
"""

import hashlib
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from kinemill.ingest.file_stat import CachedFiles, Entry, FileStat, stat_of
from kinemill.ingest.files import ScanResult, empty_scan, scan
from kinemill.ingest.folder_watch import Scanned, begin_scan
from kinemill.ingest.membership import is_member
from kinemill.ingest.scan_cache import open_scan_cache
from kinemill.store import file_digest
from kinemill.store.home import Home
from kinemill.task import Task

WHOLE = 4 * 2**20  # bytes; a few ms of hashing
_BLOCK, _BLOCKS = 2**14, 8  # bytes of a block; number of sampled blocks, the last one included
_PER_TICK = 2**28  # bytes that are read per tick; the rest waits for the next one
_CACHE_SIZE = 200_000  # contents in memory, so that files with an equal stat are not read again


class NewLogs(NamedTuple):
    """Logs of a drop folder that no ingest has read.

    Attributes:
        ids: content identifiers, hex; different logs have different ones.
        more: whether logs were left for the next tick.
        any_read: whether any log of the folder was ever read.
    """

    ids: frozenset[str]
    more: bool
    any_read: bool


def watch_new_logs(task: Task, home: Home, folder: Path, now: float | None = None) -> NewLogs:
    """Do the same as `find_new_logs` in a long-running process that calls it repeatedly.

    The folder is watched: it is scanned only if it has changed since a scan that found nothing new.
    """
    key = open_scan_cache(task, home, folder).path
    quiet = _quiet.pop(key, None)
    if quiet is None or not quiet[0].holds:
        scanned = begin_scan(folder)
        arrived, is_final = _examine(task, home, folder, now)
        if scanned is None or not is_final:
            return arrived
        quiet = scanned, arrived
    _quiet[key] = quiet
    return quiet[1]


_quiet: dict[Path, tuple[Scanned, NewLogs]] = {}  # of this process


def find_new_logs(task: Task, home: Home, folder: Path, now: float | None = None) -> NewLogs:
    """Return which complete logs under `folder` no ingest has read.

    Complete: unchanged for `ingest.min_file_age` s. A renamed or copied log is not new, nor is a
    file of up to `WHOLE` bytes that was only touched. Each file is read once per stat.

    Args:
        task: defines which files are logs.
        home: holds the list of files that were read.
        folder: a drop folder; a missing one holds no logs.
        now: s since the epoch.
    """
    return _examine(task, home, folder, now)[0]


def _examine(task: Task, home: Home, folder: Path, now: float | None) -> tuple[NewLogs, bool]:
    """Return the new logs, and whether they are none until something in the folder changes."""
    read = open_scan_cache(task, home, folder).files
    logs = _scan_folder(task, folder, read).logs
    waiting = _settled_files(task, logs, now)
    if not waiting:
        return NewLogs(frozenset(), more=False, any_read=bool(read)), not logs
    history, contents = _ReadHistory(task, home, folder, read), _contents(waiting)
    new = {
        content
        for file_stat, content in contents.items()
        if content and not history.has(file_stat, content)
    }
    any_read = bool(read) or len(new) < sum(1 for content in contents.values() if content)
    more = len(contents) < len(waiting)
    is_final = len(logs) == len(contents) and all(contents.values()) and not new
    return NewLogs(frozenset(new), more=more, any_read=any_read), is_final


class _ReadHistory:
    """Earlier results of a folder: content hashes, and large files by size."""

    def __init__(self, task: Task, home: Home, folder: Path, read: CachedFiles) -> None:
        self._task, self._home, self._folder = task.name, home, str(folder)
        self._contents = {hash_.hex() for _, hash_ in read.values()}
        self._large: dict[int, list[tuple[str, Entry]]] = {}
        for name, entry in read.items():
            if entry[0][0] > WHOLE:
                self._large.setdefault(entry[0][0], []).append((name, entry))

    def has(self, file_stat: FileStat, content: str) -> bool:
        """Return whether a log was read, under any name.

        The scan cache omits files that were read within a second of their last change, such as logs
        that a run reads right after writing them. Their recordings are members.
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
            return False  # it was changed or touched
        with suppress(OSError):
            return _sample(Path(self._folder, name), size) == content
        return False


def _scan_folder(task: Task, folder: Path, read: CachedFiles) -> ScanResult:
    return scan(task, folder, read) if stat_of(folder) else empty_scan()


def _settled_files(task: Task, logs: list[FileStat], now: float | None) -> list[FileStat]:
    """Return those of the new or changed files that are complete."""
    moment = time.time() if now is None else now
    return [one for one in logs if one.age(moment) >= task.ingest.min_file_age]


def _contents(waiting: list[FileStat]) -> dict[FileStat, str]:
    """Return the content identifiers of as many logs as one tick may read.

    A file that is missing or cannot be read has an empty identifier.
    """
    bytes_left, contents = _PER_TICK, dict[FileStat, str]()
    for file_stat in waiting:
        if bytes_left <= 0:
            break
        if file_stat not in _content_cache:
            # opening a file costs as much as reading a block
            bytes_left -= min(file_stat.size, WHOLE) + _BLOCK
            _content_cache[file_stat] = _content(file_stat)
        contents[file_stat] = _content_cache[file_stat]
    for old in list(_content_cache)[:-_CACHE_SIZE]:
        del _content_cache[old]
    return contents


_content_cache: dict[FileStat, str] = {}  # of this process


def _content(file_stat: FileStat) -> str:
    with suppress(OSError):
        whole = file_stat.size <= WHOLE
        return file_digest(file_stat.path) if whole else _sample(file_stat.path, file_stat.size)
    return ""


def _sample(path: Path, size: int) -> str:
    """Return the sha256 of the size of a file and of blocks spread evenly over it."""
    hasher = hashlib.sha256(f"sample {size}".encode())
    with path.open("rb") as file:
        for number in range(_BLOCKS):
            file.seek((size - _BLOCK) * number // (_BLOCKS - 1))
            hasher.update(file.read(_BLOCK))
    return hasher.hexdigest()
