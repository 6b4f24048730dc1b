"""Scan cache: stats and hashes of files at the last ingest; unchanged files are not read again.

Each folder of logs has a cache `store/index/<task>/scan-<folder>` and a file with the changes
since it was written, `scan-<folder>-since`, so that one new log among many appends a few lines.
If a cache file is lost, its logs are read again. Each file begins with the sha256 of the rest, a
Parquet table; the second also hashes the digest of the first, so that they belong together.
"""

import hashlib
import io
import os
import time
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import polars as pl

from kinemill.ingest.file_stat import CachedFiles, Entry, FileStat, real_path
from kinemill.store import digest, index_path, publish_file
from kinemill.store.home import Home
from kinemill.task import Task

_DIGEST = 32  # bytes of a sha256
_FRESH = 1.0  # s; a file that changed within this time before it was read may change unnoticed
_MIN_CHANGES = 32  # smallest number of changes before the first file is rewritten
_SCHEMA = {
    "name": pl.Binary,  # as in the file system, which need not be UTF-8
    "size": pl.Int64,
    "mtime_ns": pl.Int64,
    "ctime_ns": pl.Int64,
    "inode": pl.UInt64,
    "hash": pl.Binary,
}
_DELETED: Entry = ((0, 0, 0, 0), b"")  # in the second file: deletes an entry of the first

Files = dict[str, Entry]


class _Table(NamedTuple):
    """One file of a scan cache, and its sha256."""

    files: Files
    digest: bytes


_NONE = _Table({}, b"")


@dataclass(frozen=True)
class ScanCache:
    """Stats and content hashes (32 bytes) of the files of one folder, by name."""

    path: Path
    files: CachedFiles = field(default_factory=Files)
    since: CachedFiles = field(default_factory=Files)  # changes to the first file
    first: _Table = _NONE

    def hash_before(self, file_stat: FileStat) -> str | None:
        """Return the sha256 last read under a file's name, regardless of its current stat."""
        entry = self.files.get(file_stat.name)
        return entry[1].hex() if entry else None

    def write(
        self, hashes: Mapping[FileStat, bytes], same: Set[str], now: float | None = None
    ) -> None:
        """Save the stats and hashes of new or changed files, and drop deleted ones.

        Files that have just changed are left out: another change within the same tick of the file
        system's clock would go unnoticed.

        Args:
            hashes: of the files that were read.
            same: names of those with an equal stat.
            now: s since the epoch.
        """
        latest = (time.time() if now is None else now) - _FRESH
        changes = {
            file_stat.name: (file_stat[2:], hash_)
            for file_stat, hash_ in hashes.items()
            if file_stat.ctime_ns / 1e9 < latest
        }
        deleted = self.files.keys() - same - changes.keys()
        if not changes and not deleted:
            return
        since = {**self.since, **dict.fromkeys(deleted, _DELETED), **changes}
        # The square root balances appended lines against rewrites of the first file.
        if self.first is not _NONE and len(since) <= max(
            _MIN_CHANGES, len(self.first.files) ** 0.5
        ):
            publish_file(_changes_path(self.path), _written(since, self.first.digest))
            return
        remaining = {name: its for name, its in self.files.items() if name not in deleted}
        publish_file(self.path, _written({**remaining, **changes}))
        _changes_path(self.path).unlink(missing_ok=True)


def scan_cache_path(task: Task, home: Home, folder: Path) -> Path:
    """Return the file of the cache of `folder`; there need not be one."""
    # The cache depends on the rules that define which files are logs.
    of = [task.ingest.format, task.ingest.include, task.ingest.exclude, task.ingest.meta.sidecar]
    name = digest([*of, str(real_path(folder))])[:16]
    return index_path(home, task.name, f"scan-{name}")


def open_scan_cache(task: Task, home: Home, folder: Path) -> ScanCache:
    """Return the cache of the files of `folder`; an empty one if it is missing or damaged."""
    path = scan_cache_path(task, home, folder)
    first = _table(path)
    if first is _NONE:
        return ScanCache(path)
    since = _table(_changes_path(path), first.digest).files
    if not since:
        return ScanCache(path, first.files, first=first)
    files = {**first.files, **since}
    for deleted in [name for name, entry in since.items() if entry == _DELETED]:
        del files[deleted]
    return ScanCache(path, files, since, first)


def _changes_path(path: Path) -> Path:
    return path.with_name(f"{path.name}-since")


def _written(files: CachedFiles, of: bytes = b"") -> bytes:
    """Encode a file of a scan cache; `of` is the digest of the first file, for the second."""
    rows = [(os.fsencode(name), *look, hash_) for name, (look, hash_) in files.items()]
    buffer = io.BytesIO()
    pl.DataFrame(rows, schema=_SCHEMA, orient="row").write_parquet(buffer, compression="lz4")
    content = buffer.getvalue()
    return hashlib.sha256(of + content).digest() + content


def _table(path: Path, of: bytes = b"") -> _Table:
    try:
        status = path.stat()
    except FileNotFoundError:
        return _NONE
    return _read(path, of, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=32)
def _read(path: Path, of: bytes, mtime_ns: int, inode: int) -> _Table:
    """Read a file of a scan cache, once while it is the same file."""
    del mtime_ns, inode
    content = path.read_bytes()
    stored_digest = content[:_DIGEST]
    if hashlib.sha256(of + content[_DIGEST:]).digest() != stored_digest:
        return _NONE
    columns = pl.read_parquet(io.BytesIO(content[_DIGEST:])).to_dict(as_series=False)
    spelled, *stat_columns, hashes = (columns[name] for name in _SCHEMA)
    names = map(os.fsdecode, spelled)
    rows = zip(names, zip(*stat_columns, strict=True), hashes, strict=True)
    return _Table({name: (look, hash_) for name, look, hash_ in rows}, stored_digest)
