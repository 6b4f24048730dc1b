"""Cache of derived values, each valid for one version of its source: a database or a file.

A version is never a time to live: a change shows in the next read.
"""

import sqlite3
import threading
from collections.abc import Callable, Hashable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from kinemill.store.database import Schema, address_of

V = TypeVar("V")


class VersionedCache(Generic[V]):
    """Values by key. Concurrent readers of a key wait for the first of them to build its value.

    Args:
        size: number of kept values; the oldest one is dropped first.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: dict[Hashable, _Entry[V]] = {}

    def get(self, key: Hashable, version: Callable[[], Hashable], build: Callable[[], V]) -> V:
        """Return the value of a key; build it if the version of its source has changed.

        The source has no version if `version` returns None; then nothing is cached.
        """
        entry = self._entries.setdefault(key, _Entry())
        while len(self._entries) > self._size:
            self._entries.pop(next(iter(self._entries)), None)
        current = entry.current
        if current and current[0] == version():
            return current[1]
        with entry.lock:
            # Read before the value: a change during `build` makes the entry outdated, not wrong.
            latest = version()
            if latest is None:
                return build()
            if not entry.current or entry.current[0] != latest:
                entry.current = latest, build()
            return entry.current[1]


class _Entry(Generic[V]):
    """The version and the value of a key, replaced as a whole."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.current: tuple[Hashable, V] | None = None


def database_version(path: Path, schema: Schema) -> Hashable:
    """Return the version of a SQLite file, or of the shared database in its place.

    None if it does not exist or cannot be read: the reader of its content reports the problem.
    """
    shared = address_of(schema)
    return _sqlite(path).read() if shared is None else _shared_version(shared)


def _shared_version(address: str) -> Hashable:
    """Return the snapshot of PostgreSQL: equal snapshots see the same transactions."""
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with _engine(address).connect() as connection:
            return connection.scalar(text("SELECT CAST(txid_current_snapshot() AS text)"))
    except SQLAlchemyError:
        return None


@cache
def _engine(address: str) -> Any:
    from sqlalchemy import create_engine

    return create_engine(address, pool_size=2, pool_pre_ping=True)


class SqliteVersion:
    """Version of a SQLite file: it changes with each commit, of this or another process.

    Modification times are too coarse for this: two commits can have the same one.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._file: tuple[int, int] | None = None
        self._connection: sqlite3.Connection | None = None
        self._opened = 0

    def read(self) -> Hashable:
        """Return the version; None if there is none, see `database_version`."""
        try:
            status = self._path.stat()
            with self._lock:
                connection = self._open((status.st_dev, status.st_ino))
                (number,) = connection.execute("PRAGMA data_version").fetchone()
                return (self._opened, number)
        except (FileNotFoundError, sqlite3.Error):
            return None

    def _open(self, file: tuple[int, int]) -> sqlite3.Connection:
        """Return the connection; a restored or rebuilt database is another file."""
        if self._connection is None or file != self._file:
            if self._connection:
                self._connection.close()
            address = f"file:{quote(str(self._path))}?mode=ro"
            self._connection = sqlite3.connect(address, uri=True, check_same_thread=False)
            self._file = file
            self._opened += 1
        return self._connection


@lru_cache(maxsize=32)
def _sqlite(path: Path) -> SqliteVersion:
    return SqliteVersion(path)


def file_version(path: Path) -> Hashable:
    """Return the version of a file, or of the list of names in a folder; None without it."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)
