"""Scan cache: stats and hashes of files at the last ingest; unchanged files are not read again.

The rows are in the catalog, under a key of the folder. If they are lost, the logs are read again.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from kinemill.catalog.files import FolderFiles
from kinemill.ingest.file_stat import NOTHING, Entry, FileStat, pack_stat, real_path, unpack_stat
from kinemill.store import digest
from kinemill.store.home import Home
from kinemill.task import Task

_FRESH = 1.0  # s; a file that changed within this time before it was read may change unnoticed


class ScanCache:
    """Stats and content hashes (32 bytes) of the files of one folder, by name.

    Args:
        task: defines which files are logs.
        home: its home.
        folder: the folder.
    """

    def __init__(self, task: Task, home: Home, folder: Path) -> None:
        rules = task.ingest
        of = [task.name, rules.format, rules.include, rules.exclude, rules.meta.sidecar]
        self.key = digest([*of, str(real_path(folder))])[:16]
        self._table = FolderFiles(home, self.key)

    def any(self) -> bool:
        """Return whether any file of the folder was read."""
        return self._table.any()

    def directories(self) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
        """Yield each directory with the packed stats of its files, sorted; see `FolderFiles`."""
        return self._table.directories()

    def find(self, names: Iterable[str]) -> dict[str, Entry]:
        """Return the entries of some files."""
        rows = self._table.find(map(os.fsencode, names))
        return {os.fsdecode(n): (unpack_stat(stat), hash_) for n, (stat, hash_) in rows.items()}

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Yield name and entry of every file."""
        return _decoded(self._table)

    def beginning_with(self, bases: Iterable[str]) -> Iterator[tuple[str, Entry]]:
        """Yield the files named `base`, or `base` with a suffix."""
        return _decoded(self._table.beginning_with(map(os.fsencode, bases)))

    def of_size(self, size: int) -> Iterator[tuple[str, Entry]]:
        """Yield the files of a size, bytes."""
        return _decoded(self._table.of_size(size))

    def has(self, size: int, content: str) -> bool:
        """Return whether a file of this size, bytes, and content, sha256 in hex, was read."""
        return next(self._table.of_size(size, bytes.fromhex(content)), None) is not None

    def with_hashes(self, hashes: Iterable[str]) -> Iterator[tuple[str, Entry]]:
        """Yield the files with one of these contents, sha256 in hex."""
        return _decoded(self._table.with_hashes(map(bytes.fromhex, hashes)))

    def write(
        self, hashes: Mapping[FileStat, bytes], stale: Iterable[str], now: float | None = None
    ) -> None:
        """Save the stats and hashes of new or changed files, and drop entries that do not hold.

        Files that have just changed are left out: another change within the same tick of the file
        system's clock would go unnoticed. `now` is in s since the epoch.
        """
        latest = (time.time() if now is None else now) - _FRESH
        added = {
            os.fsencode(file.name): (file.size, pack_stat(*file[2:]), hash_)
            for file, hash_ in hashes.items()
            if file.ctime_ns / 1e9 < latest
        }
        removed = [os.fsencode(name) for name in stale]
        if added or removed:
            self._table.change(removed, added)


@dataclass(frozen=True)
class UnchangedFiles:
    """The logs of a folder whose stat is that of the last ingest; read on demand.

    Attributes:
        cache: its scan cache; None: no file is unchanged.
        excluded: names of files with an entry that do not belong here.
    """

    folder: str = ""
    cache: ScanCache | None = None
    excluded: Set[str] = frozenset()
    count: int = 0

    def __len__(self) -> int:
        return self.count

    def items(self) -> Iterator[tuple[FileStat, str]]:
        """Yield every log with its content hash, sha256 in hex."""
        if self.cache:
            yield from self._logs(self.cache.entries())

    def with_hashes(self, hashes: Iterable[str]) -> Iterator[tuple[FileStat, str]]:
        """Yield the logs with one of these contents."""
        if self.cache:
            yield from self._logs(self.cache.with_hashes(hashes))

    def described_by(self, bases: Set[str]) -> Iterator[FileStat]:
        """Yield the logs named `base`, or `base` with one suffix."""
        if self.cache:
            for log, _ in self._logs(self.cache.beginning_with(bases)):
                if log.name in bases or log.name.rpartition(".")[0] in bases:
                    yield log

    def without(self, file_stats: Iterable[FileStat]) -> "UnchangedFiles":
        """Return the logs without some of them."""
        names = {stat.name for stat in file_stats}
        return UnchangedFiles(
            self.folder, self.cache, self.excluded | names, self.count - len(names)
        )

    def _logs(self, entries: Iterable[tuple[str, Entry]]) -> Iterator[tuple[FileStat, str]]:
        for name, (key, hash_) in entries:
            if name not in self.excluded and hash_ != NOTHING:
                yield FileStat(self.folder, name, *key), hash_.hex()


def _decoded(rows: Iterable[tuple[bytes, bytes, bytes]]) -> Iterator[tuple[str, Entry]]:
    return ((os.fsdecode(name), (unpack_stat(stat), hash_)) for name, stat, hash_ in rows)
