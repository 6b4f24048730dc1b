"""What the files of a folder looked like when they were last read, so that none is read twice.

A cache, one file for each folder of logs: `store/index/<task>/sights-<folder>`. Losing it costs the
reading of every file once more. It begins with the sha256 of the rest, a Parquet table.
"""

import hashlib
import io
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import polars as pl

from kinemill.home import Home
from kinemill.ingest.files import Look, Sight
from kinemill.spec import Task
from kinemill.store import digest, index_path, publish_file

_DIGEST = 32  # bytes of a sha256
_FRESH = 1.0  # s; a file changed later than this before it was read may look the same afterwards
_SCHEMA = {
    "name": pl.String,
    "size": pl.Int64,
    "mtime_ns": pl.Int64,
    "ctime_ns": pl.Int64,
    "inode": pl.UInt64,
    "hash": pl.Binary,
}


@dataclass(frozen=True)
class Book:
    """Looks and content hashes (32 bytes) of the files of one folder, by name."""

    path: Path
    files: Mapping[str, tuple[Look, bytes]] = field(default_factory=dict[str, tuple[Look, bytes]])

    def hash_before(self, sight: Sight) -> str | None:
        """Return the sha256 of what was last read under a file's name, whatever it is now."""
        found = self.files.get(sight.name)
        return found[1].hex() if found else None

    def write(self, hashes: Mapping[Sight, bytes], now: float | None = None) -> None:
        """Keep the looks and hashes of these files in place of what was kept, if that differs.

        Files that have only just changed are left out: a change within the same tick of the file
        system's clock would not show.
        """
        latest = (time.time() if now is None else now) - _FRESH
        files = {
            sight.name: (sight[2:], hash_)
            for sight, hash_ in hashes.items()
            if sight.ctime_ns / 1e9 < latest
        }
        if files == self.files:
            return
        rows = [(name, *look, hash_) for name, (look, hash_) in files.items()]
        buffer = io.BytesIO()
        pl.DataFrame(rows, schema=_SCHEMA, orient="row").write_parquet(buffer, compression="lz4")
        content = buffer.getvalue()
        publish_file(self.path, hashlib.sha256(content).digest() + content)


def open_book(task: Task, home: Home, folder: Path) -> Book:
    """Return what is kept of the files of `folder`: nothing if that is missing or damaged."""
    # What is kept was wanted and claimed, which may be otherwise by other rules.
    of = [task.ingest.format, task.ingest.include, task.ingest.exclude, task.ingest.meta.sidecar]
    name = digest([*of, str(folder.resolve())])[:16]
    path = index_path(home, task.name, f"sights-{name}")
    try:
        found = path.stat()
    except FileNotFoundError:
        return Book(path)
    return Book(path, _read(path, found.st_mtime_ns, found.st_ino))


@lru_cache(maxsize=16)
def _read(path: Path, mtime_ns: int, inode: int) -> dict[str, tuple[Look, bytes]]:
    """Read a book once as long as its file is the same one."""
    del mtime_ns, inode
    content = path.read_bytes()
    if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
        return {}
    columns = pl.read_parquet(io.BytesIO(content[_DIGEST:])).to_dict(as_series=False)
    names, *looks, hashes = (columns[name] for name in _SCHEMA)
    rows = zip(names, zip(*looks, strict=True), hashes, strict=True)
    return {name: (look, hash_) for name, look, hash_ in rows}
