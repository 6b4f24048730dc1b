"""Arrivals: which logs of a drop folder are complete and were not read yet, for the log sensor.

The first tick scans the folder and watches it. The next ones stat only the files that changed, or
that an earlier tick could not finish. No tick reads a large log. Up to `WHOLE` bytes a file is
identified by its sha256, as in the store; above that by its size, a sample of its blocks, and the
stats of files that were read before. Videos of a log count by their stats.
"""

import hashlib
import time
from collections.abc import Set
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from kinemill.ingest.file_stat import Entry, FileStat, stat_key, stat_of
from kinemill.ingest.files import scan, scan_named
from kinemill.ingest.folder_watch import Scanned, begin_scan
from kinemill.ingest.membership import is_member
from kinemill.ingest.readers._lerobot_meta import dataset_of
from kinemill.ingest.readers._lerobot_videos import find_videos, uses_videos
from kinemill.ingest.scan_cache import ScanCache
from kinemill.store import file_digest
from kinemill.store.home import Home
from kinemill.task import Task

WHOLE = 4 * 2**20  # bytes; a few ms of hashing
_BLOCK = 2**14
_BLOCKS = 8  # bytes of a block; number of sampled blocks, the last one included
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


@dataclass(frozen=True)
class _LastTick:
    """What the last tick found in a watched folder.

    Attributes:
        scanned: when the folder was scanned, and the changes until the last tick.
        pending: names of logs that the next tick examines again.
        any_read: whether any log of the folder was ever read.
    """

    scanned: Scanned
    pending: Set[str]
    any_read: bool

    def find_candidates(self) -> Set[str] | None:
        """Return the names of files that may be new logs; None if only a scan can find them."""
        changed = self.scanned.find_changes()
        return None if changed is None else self.pending | changed


_last_ticks: dict[tuple[Path, str], _LastTick] = {}  # of this process, by home and scan cache


def watch_new_logs(task: Task, home: Home, folder: Path, now: float | None = None) -> NewLogs:
    """Do the same as `find_new_logs` in a long-running process that calls it repeatedly.

    The folder is watched: after the first scan, only files that changed are examined.
    """
    key = home.root, ScanCache(task, home, folder).key
    last = _last_ticks.pop(key, None)
    scanned = begin_scan(folder)
    names = last.find_candidates() if last and scanned else None
    if last and names is not None and not names:
        _last_ticks[key] = last
        return NewLogs(frozenset(), more=False, any_read=last.any_read)
    arrived, pending = _examine(task, home, folder, now, names)
    if last and names is not None:
        arrived = arrived._replace(any_read=arrived.any_read or last.any_read)
    if scanned:
        at = scanned.at if last is None or names is None else last.scanned.at
        _last_ticks[key] = _LastTick(replace(scanned, at=at), pending, arrived.any_read)
    return arrived


def find_new_logs(task: Task, home: Home, folder: Path, now: float | None = None) -> NewLogs:
    """Return which complete logs under `folder` no ingest has read.

    Complete: unchanged for `ingest.min_file_age` s. A renamed or copied log is not new, nor is a
    file of up to `WHOLE` bytes that was only touched. Each file is read once per stat. A missing
    folder holds no logs. `now` is in s since the epoch.
    """
    return _examine(task, home, folder, now)[0]


def _examine(
    task: Task, home: Home, folder: Path, now: float | None, names: Set[str] | None = None
) -> tuple[NewLogs, Set[str]]:
    """Return the new logs of a folder, or of some of its files, and the names of pending ones.

    A log is pending until it is read: it is new, incomplete, unreadable, or left for the next tick.
    """
    cache = ScanCache(task, home, folder)
    logs = _list_logs(task, folder, cache, names)
    waiting = _settled_files(task, logs, now)
    contents = _contents(task, waiting)
    history = _ReadHistory(task, home, folder, cache)
    new = {
        file_stat: content
        for file_stat, content in contents.items()
        if content and not history.has(file_stat, content)
    }
    finished = {log.name for log, content in contents.items() if content and log not in new}
    any_read = bool(finished) or cache.any()
    more = len(contents) < len(waiting)
    arrived = NewLogs(frozenset(new.values()), more=more, any_read=any_read)
    return arrived, {log.name for log in logs} - finished


def _list_logs(
    task: Task, folder: Path, cache: ScanCache, names: Set[str] | None
) -> list[FileStat]:
    if names is not None:
        return scan_named(task, folder, cache, names)
    return scan(task, folder, cache).with_videos() if stat_of(folder) else []


class _ReadHistory:
    """Which contents of a folder were read."""

    def __init__(self, task: Task, home: Home, folder: Path, cache: ScanCache) -> None:
        self._task = task
        self._home = home
        self._folder = str(folder)
        self._cache = cache

    def has(self, file_stat: FileStat, content: str) -> bool:
        """Return whether a log was read, under any name.

        The scan cache omits files that were read within a second of their last change, such as logs
        that a run reads right after writing them. Their recordings are members.
        """
        if uses_videos(self._task, file_stat.path):
            return False  # the log or a video is new: a scan lists no others
        if file_stat.size <= WHOLE:
            is_known = is_member(self._home, self._task.name, content)
            return is_known or self._cache.has(file_stat.size, content)
        return any(
            self._is_same(file_stat, content, name, entry)
            for name, entry in self._cache.of_size(file_stat.size)
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


def _settled_files(task: Task, logs: list[FileStat], now: float | None) -> list[FileStat]:
    """Return those of the new or changed files that are complete."""
    moment = time.time() if now is None else now
    return [log for log in logs if log.age(moment) >= task.ingest.min_file_age]


def _contents(task: Task, waiting: list[FileStat]) -> dict[FileStat, str]:
    """Return the content identifiers of as many logs as one tick may read.

    A file that is missing or cannot be read has an empty identifier.
    """
    bytes_left = _PER_TICK
    contents = dict[FileStat, str]()
    for file_stat in waiting:
        if bytes_left <= 0:
            break
        if file_stat not in _content_cache:
            # opening a file costs as much as reading a block
            bytes_left -= min(file_stat.size, WHOLE) + _BLOCK
            _content_cache[file_stat] = _content(file_stat)
        content = _content_cache[file_stat]
        contents[file_stat] = content and _with_videos(task, file_stat.path, content)
    for old in list(_content_cache)[:-_CACHE_SIZE]:
        del _content_cache[old]
    return contents


_content_cache: dict[FileStat, str] = {}  # of this process


def _with_videos(task: Task, log: Path, content: str) -> str:
    """Return the content identifier of a log and the stats of the videos that a task reads."""
    if not uses_videos(task, log) or (folder := dataset_of(log, "data")) is None:
        return content
    hasher = hashlib.sha256(content.encode())
    for video in find_videos(log):
        status = stat_of(folder / video.file)
        hasher.update(f"{video.file} {status and stat_key(status)}".encode())
    return hasher.hexdigest()


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
