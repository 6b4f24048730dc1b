"""Index of near-duplicates: an SQLite file that can be rebuilt from the sketches.

It compares units: a unit is a recording, or one part of a recording that has several. Units are
numbered in the order in which they arrive. Each unit is stored under its own LSH keys. A key holds
the earliest `ROOM` units, and one unit is compared with at most `MAX_COMPARED` others. A search
therefore takes the same time among a thousand and a hundred thousand units, even if all runs are
similar.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import numpy as np
from pydantic_core import from_json

from kinemill.errors import CorruptArtifact
from kinemill.store import index_path
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate.duplicates.lsh import Keys, hashed, keys
from kinemill.validate.duplicates.schema import connect
from kinemill.validate.duplicates.similarity import (
    Course,
    Sketch,
    courses_of,
    duplicate_distances,
    numbers,
)

ROOM = 64  # maximum number of units under one key
MOST = 16  # duplicates listed for one unit, the earliest
MAX_COMPARED = 64  # units to compare with one: those that share most keys
_BATCH = 1000  # units that are inserted in one step
_MAX_CACHED = 4096  # units in memory, each 2 KiB per state
_KEYS_PER_QUERY = 128  # constant, so that SQLite parses the statement once


@dataclass(frozen=True)
class Sketched:
    """The sketch of a recording, or of one of its parts.

    Attributes:
        recording: content hash.
        name: first name of the log, with the part: `bag.h5/demo_3`.
        sketch: the sketch.
        part: part of the recording; empty if the recording has one run.
    """

    recording: str
    name: str
    sketch: Sketch
    part: str = ""

    @property
    def unit(self) -> str:
        """Name of the unit in the index."""
        return f"{self.recording}/{self.part}" if self.part else self.recording


@dataclass(frozen=True)
class Duplicate:
    """An earlier unit that is a near-duplicate; the distance has no unit."""

    number: int
    unit: str
    recording: str
    distance: float

    @property
    def part(self) -> str:
        """Part of the recording; empty if the recording has one run."""
        return self.unit[len(self.recording) + 1 :]


@dataclass(frozen=True)
class DuplicatePair:
    """Names of two near-duplicates, sorted, and their distance."""

    pair: tuple[str, str]
    distance: float


@dataclass(frozen=True)
class _Unit:
    """A stored unit as it is compared with others."""

    unit: str
    recording: str
    course: Course


class DuplicateIndex:
    """The units of one task, inside one transaction.

    Attributes:
        is_new: whether the file was created just now, so that earlier units must be added again.
    """

    def __init__(self, connection: sqlite3.Connection, task: Task, *, is_new: bool) -> None:
        self._connection, self._task, self.is_new = connection, task, is_new
        self._cache: dict[int, _Unit] = {}

    def __len__(self) -> int:
        return self._connection.execute("SELECT units FROM about").fetchone()[0]

    def is_registered(self, recording: str) -> bool:
        """Return whether a recording was ever added, also under other rules."""
        query = "SELECT 1 FROM seen WHERE recording = ?"
        return self._connection.execute(query, (recording,)).fetchone() is not None

    def add(self, items: Iterable[Sketched]) -> dict[str, list[Duplicate]]:
        """Add units in the given order; return the earliest duplicates of each unit that has some.

        A unit that exists already keeps its number; its sketch is replaced.
        """
        duplicates: dict[str, list[Duplicate]] = {}
        remaining = iter(items)
        while some := list(islice(remaining, _BATCH)):
            courses = self._courses([one.sketch for one in some])
            for item, own, its_keys in zip(some, courses, hashed(courses), strict=True):
                number = self._insert(item, its_keys.own)
                self._cache[number] = _Unit(item.unit, item.recording, own)
                if matches := self._find_duplicates(number, own, its_keys):
                    duplicates[item.unit] = matches
                    self._insert_pairs(number, matches)
        return duplicates

    def _courses(self, sketches: Sequence[Sketch]) -> list[Course]:
        seconds, begins = [one.seconds for one in sketches], [one.begins for one in sketches]
        return courses_of(seconds, [numbers(one) for one in sketches], begins, self._task)

    def _insert(self, item: Sketched, its_keys: list[int]) -> int:
        execute = self._connection.execute
        existing = execute("SELECT number FROM units WHERE unit = ?", (item.unit,)).fetchone()
        if existing:
            self._delete_unit(existing[0])
        number = execute(
            "INSERT INTO units VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING number",
            (
                existing[0] if existing else None,
                item.unit,
                item.recording,
                item.name,
                item.sketch.seconds,
                json.dumps(item.sketch.begins),
                numbers(item.sketch).tobytes(),
            ),
        ).fetchone()[0]
        execute("INSERT OR IGNORE INTO seen VALUES (?)", (item.recording,))
        self._connection.executemany(
            "INSERT INTO keys SELECT ?1, coalesce(max(rank) + 1, 0), ?2 FROM keys WHERE key = ?1"
            f" HAVING coalesce(max(rank) + 1, 0) < {ROOM}",
            [(key, number) for key in its_keys],
        )
        return number

    def _find_duplicates(self, number: int, own: Course, its_keys: Keys) -> list[Duplicate]:
        near = self._candidates(number, its_keys.probes)
        units = self._units(near)
        far = duplicate_distances(own, [unit.course for unit in units])
        duplicates = [
            Duplicate(other, unit.unit, unit.recording, distance)
            for other, unit, distance in zip(near, units, far, strict=True)
            if distance is not None
        ]
        return duplicates[:MOST]

    def _candidates(self, number: int, probe_keys: Sequence[int]) -> list[int]:
        """Return the numbers of earlier units under the given keys, sorted."""
        placeholders = ",".join("?" * _KEYS_PER_QUERY)
        query = f"SELECT number FROM keys WHERE key IN ({placeholders}) AND number < ?"
        hits: Counter[int] = Counter()
        for first in range(0, len(probe_keys), _KEYS_PER_QUERY):
            some = list(probe_keys[first : first + _KEYS_PER_QUERY])
            some += some[-1:] * (_KEYS_PER_QUERY - len(some))
            hits.update(row[0] for row in self._connection.execute(query, (*some, number)))
        if len(hits) <= MAX_COMPARED:
            return sorted(hits)
        # Duplicates share many keys; the number of units that share one by chance grows with all.
        return sorted(sorted(hits, key=lambda near: (-hits[near], near))[:MAX_COMPARED])

    def _units(self, unit_numbers: Sequence[int]) -> list["_Unit"]:
        """Return units by their numbers."""
        if unknown := [number for number in unit_numbers if number not in self._cache]:
            if len(self._cache) > _MAX_CACHED:
                self._cache.clear()
                unknown = unit_numbers
            self._cache |= self._read(unknown)
        return [self._cache[number] for number in unit_numbers]

    def _read(self, unit_numbers: Sequence[int]) -> dict[int, "_Unit"]:
        rows = self._connection.execute(
            "SELECT number, unit, recording, seconds, numbers, begins FROM units"
            f" WHERE number IN ({','.join('?' * len(unit_numbers))})",
            unit_numbers,
        ).fetchall()
        seconds, blobs, begins = ([row[k] for row in rows] for k in (3, 4, 5))
        arrays = [np.frombuffer(one, np.float32) for one in blobs]
        courses = courses_of(seconds, arrays, [from_json(one) for one in begins], self._task)
        return {row[0]: _Unit(row[1], row[2], one) for row, one in zip(rows, courses, strict=True)}

    def _insert_pairs(self, number: int, matches: Sequence[Duplicate]) -> None:
        self._connection.executemany(
            "INSERT INTO pairs VALUES (?, ?, ?)",
            [(number, one.number, one.distance) for one in matches],
        )

    def remove(self, recordings: Iterable[str]) -> None:
        """Delete recordings with all their parts; unknown ones are ignored."""
        for recording in recordings:
            query = "SELECT number FROM units WHERE recording = ?"
            for (number,) in self._connection.execute(query, (recording,)).fetchall():
                self._delete_unit(number)

    def forget(self, recording: str) -> None:
        """Delete a recording as if it had never been added."""
        self.remove([recording])
        self._connection.execute("DELETE FROM seen WHERE recording = ?", (recording,))

    def _delete_unit(self, number: int) -> None:
        (unit,) = self._units([number])
        for key in keys([unit.course])[0]:
            statement = "DELETE FROM keys WHERE key = ? AND number = ?"
            self._connection.execute(statement, (key, number))
        self._connection.execute("DELETE FROM pairs WHERE later = ?", (number,))
        self._connection.execute("DELETE FROM pairs WHERE earlier = ?", (number,))
        self._connection.execute("DELETE FROM units WHERE number = ?", (number,))
        del self._cache[number]

    def pairs(self, limit: int) -> tuple[int, list[DuplicatePair]]:
        """Return the number of pairs, and the nearest ones."""
        total = self._connection.execute("SELECT pairs FROM about").fetchone()[0]
        rows = self._connection.execute(
            "SELECT a.name, b.name, distance FROM pairs"
            " JOIN units a ON a.number = earlier JOIN units b ON b.number = later"
            " ORDER BY distance, later, earlier LIMIT ?",
            (limit,),
        )
        return total, [
            DuplicatePair((min(one, other), max(one, other)), distance)
            for one, other, distance in rows
        ]


@contextmanager
def open_index(home: Home, task: Task) -> Generator[DuplicateIndex]:
    """Open a task's index in one transaction.

    Raises:
        CorruptArtifact: The file is damaged in a way that only a query detects.
    """
    path = index_path(home, task.name, "duplicates.sqlite")
    connection, is_new = connect(path, task)
    try:
        yield DuplicateIndex(connection, task, is_new=is_new)
        connection.execute("COMMIT")
    except sqlite3.OperationalError:  # locked, disk full: no damage
        raise
    except sqlite3.DatabaseError as error:
        fix = "move it away and run again: it is rebuilt from the recordings"
        raise CorruptArtifact(path, f"is damaged ({error})", fix=fix) from error
    finally:
        connection.close()  # rolls back whatever is not committed
