"""Folder watch: which files below a folder have changed since it was scanned.

The kernel reports changes (inotify on Linux, through watchdog), so a long-running process need not
stat a million unchanged files. It reports only changes made on this machine: a folder of a network
file system is not watched, and a watched folder is scanned again after `TRUSTED`, in case a report
was lost. A report arrives up to a second after the change; the folder's modification time shows
that one of a file in the folder itself is due.
"""

import logging
import os
import stat
import threading
import time
from collections import deque
from collections.abc import Set
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import psutil
from watchdog.events import (
    EVENT_TYPE_CLOSED_NO_WRITE,
    EVENT_TYPE_MODIFIED,
    EVENT_TYPE_OPENED,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from kinemill.ingest.file_stat import real_path, stat_of

TRUSTED = 600.0  # s
REPORT_DELAY = 2.0  # s; a report comes within this time
MAX_CHANGES = 20_000  # in memory; after more, the folder is scanned
_READ = {EVENT_TYPE_OPENED, EVENT_TYPE_CLOSED_NO_WRITE}  # reading a log changes nothing
# File systems on which every change is made, and reported, by this machine.
_LOCAL = {"apfs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"}

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class FolderWatch(FileSystemEventHandler):
    """Collects the changes below a folder during the life of this process.

    Attributes:
        inode: of the folder, to tell it from another one under its name.
        changes: number of changes until now.
    """

    folder: Path
    inode: int
    changes: int = 0
    _last: deque[str | None] = field(default_factory=lambda: deque[str | None](maxlen=MAX_CHANGES))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Collect an event that may change what a scan finds."""
        if event.event_type in _READ:
            return
        if not event.is_directory:
            self._collect(*(self._name(path) for path in (event.src_path, event.dest_path) if path))
        elif event.event_type != EVENT_TYPE_MODIFIED:  # that of a folder reports its files again
            self._collect(None)

    def changed_since(self, number: int) -> Set[str] | None:
        """Return the names of the files of all changes after a number of them.

        None if they are not known: a folder was made, moved or removed, or too much changed.
        """
        with self._lock:
            count = self.changes - number
            names = set(list(self._last)[len(self._last) - count :]) if count else set[str | None]()
        labels = {name for name in names if name is not None}
        return labels if count <= MAX_CHANGES and len(labels) == len(names) else None

    def _name(self, path: str | bytes) -> str:
        return os.path.relpath(os.fsdecode(path), self.folder)

    def _collect(self, *names: str | None) -> None:
        with self._lock:
            self._last.extend(names)
            self.changes += len(names)


@dataclass(frozen=True)
class Scanned:
    """When a folder was scanned.

    Attributes:
        changes: number of changes before the scan.
        mtime_ns: of the folder before the scan, ns since the epoch.
        at: time of the scan, s of the monotonic clock.
    """

    watch: FolderWatch
    changes: int
    mtime_ns: int
    at: float

    def find_changes(self) -> Set[str] | None:
        """Return the names of the files that have changed since; None if only a scan finds them.

        Waits up to `REPORT_DELAY` if a report is due.
        """
        status = stat_of(self.watch.folder)
        is_recent = time.monotonic() - self.at < TRUSTED
        if status is None or status.st_ino != self.watch.inode or not is_recent:
            return None
        while (names := self.watch.changed_since(self.changes)) is not None:
            # If the folder lists other files than before, one of them is reported soon.
            is_reported = any("/" not in name for name in names)
            if status.st_mtime_ns == self.mtime_ns or is_reported:
                return names
            if abs(time.time() - status.st_mtime_ns / 1e9) > REPORT_DELAY:
                return None
            time.sleep(0.02)
        return None


def begin_scan(folder: Path) -> Scanned | None:
    """Note the state of a folder before it is scanned; None if it cannot be watched.

    The first call starts the watch, which ends with the process.
    """
    folder = real_path(folder)
    status = stat_of(folder)
    if status is None or not stat.S_ISDIR(status.st_mode):
        return None
    watch = _watch(folder, status.st_ino, os.getpid())
    if watch is None:
        return None
    return Scanned(watch, watch.changes, status.st_mtime_ns, time.monotonic())


@lru_cache(maxsize=256)
def _watch(folder: Path, inode: int, process: int) -> FolderWatch | None:
    """Start a watch, once for each folder and process."""
    del process
    if _file_system(folder) not in _LOCAL:
        return None
    observer = Observer()
    watch = FolderWatch(folder, inode)
    try:
        observer.schedule(watch, str(folder), recursive=True)
        observer.start()
    except OSError as error:  # such as too many watched folders: fall back to scans
        _log.warning("%s is scanned at every tick, since it cannot be watched: %s", folder, error)
        return None
    return watch


def _file_system(folder: Path) -> str:
    """Return the type of the file system of a folder; empty if unknown."""
    mounts = {
        Path(partition.mountpoint): partition.fstype
        for partition in psutil.disk_partitions(all=True)
    }
    return next((mounts[parent] for parent in (folder, *folder.parents) if parent in mounts), "")
