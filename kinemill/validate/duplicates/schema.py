"""SQLite schema of the near-duplicate index: tables, format, and repair of a damaged file."""

import hashlib
import sqlite3
from pathlib import Path
from typing import Any

from kinemill.store import digest
from kinemill.task import Task
from kinemill.validate.duplicates.lsh import SIGNS, TABLES, planes
from kinemill.validate.duplicates.similarity import POINTS, course_channels

FORMAT = 2
_TABLES = """
CREATE TABLE IF NOT EXISTS seen (recording TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE about (
  signature TEXT NOT NULL, units INTEGER NOT NULL DEFAULT 0, pairs INTEGER NOT NULL DEFAULT 0);
CREATE TABLE units (
  number INTEGER PRIMARY KEY, unit TEXT NOT NULL UNIQUE, recording TEXT NOT NULL,
  name TEXT NOT NULL, seconds REAL NOT NULL, begins TEXT NOT NULL, numbers BLOB NOT NULL);
CREATE INDEX units_by_recording ON units (recording);
CREATE TABLE keys (
  key INTEGER, rank INTEGER, number INTEGER NOT NULL, PRIMARY KEY (key, rank)) WITHOUT ROWID;
CREATE TABLE pairs (
  later INTEGER, earlier INTEGER, distance REAL NOT NULL, PRIMARY KEY (later, earlier)
) WITHOUT ROWID;
CREATE INDEX pairs_by_earlier ON pairs (earlier);
CREATE INDEX pairs_by_distance ON pairs (distance, later, earlier);
"""
_COUNTED = ("units", "pairs")  # count(*) would read whole tables


def connect(path: Path, task: Task) -> tuple[sqlite3.Connection, bool]:
    """Open the file and begin a transaction. An unreadable or foreign file is replaced.

    Returns:
        the connection, and whether the tables are empty because they were made just now.
    """
    signature = _signature(task)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _begin(path, signature)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # locked, disk full: no damage
            raise
        path.unlink()
        return _begin(path, signature)


def _begin(path: Path, signature: str) -> tuple[sqlite3.Connection, bool]:
    connection = sqlite3.connect(path, timeout=600.0, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -65536")  # KiB; a mapped file took longer
        connection.execute("BEGIN IMMEDIATE")
        if anew := _signed(connection) != signature:
            _make(connection, signature)
    except BaseException:
        connection.close()
        raise
    return connection, anew


def _signed(connection: sqlite3.Connection) -> str | None:
    query = "SELECT count(*) FROM sqlite_master WHERE name = 'about'"
    if not connection.execute(query).fetchone()[0]:
        return None
    return connection.execute("SELECT signature FROM about").fetchone()[0]


def _make(connection: sqlite3.Connection, signature: str) -> None:
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name != 'seen'"
    for (name,) in connection.execute(query).fetchall():
        connection.execute(f'DROP TABLE "{name}"')
    for statement in _TABLES.split(";"):
        connection.execute(statement)
    for table in _COUNTED:
        for event, change in (("INSERT", "+ 1"), ("DELETE", "- 1")):
            connection.execute(
                f"CREATE TRIGGER {table}_{event} AFTER {event} ON {table}"
                f" BEGIN UPDATE about SET {table} = {table} {change}; END"
            )
    connection.execute("INSERT INTO about (signature) VALUES (?)", (signature,))


def _signature(task: Task) -> str:
    """Return what keys and distances depend on besides the sketches."""
    states: list[Any] = [
        [name, task.channels[name].kind, task.channels[name].limits]
        for name in course_channels(task)
    ]
    shape = [FORMAT, POINTS, SIGNS, TABLES, hashlib.sha256(planes(1).tobytes()).hexdigest()]
    return digest({"states": states, "shape": shape})
