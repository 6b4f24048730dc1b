"""Search for near-duplicates among the sketches in the catalog.

It compares units: a unit is a recording, or one part of a recording that has several. Each unit is
stored under its own LSH keys, of which each holds a limited number of units, and one unit is
compared with at most `MAX_COMPARED` others. A search therefore takes the same time among a thousand
and a hundred thousand units, even if all runs are similar.
"""

import hashlib
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from kinemill.catalog import transaction
from kinemill.catalog.history import batches
from kinemill.catalog.sketches import SketchTable, StoredSketch
from kinemill.store import Home, digest
from kinemill.task import Task
from kinemill.validate.duplicates.similarity import (
    POINTS,
    SIGNS,
    TABLES,
    Course,
    Keys,
    Sketch,
    course_channels,
    courses_of,
    duplicate_distances,
    hashed,
    keys,
    numbers,
    planes,
)

MOST = 16  # duplicates listed for one unit, the earliest
MAX_COMPARED = 64  # units to compare with one: those that share most keys
BATCH = 1000  # units that are added in one step
_MAX_CACHED = 4096  # units in memory, each 2 KiB per state


@dataclass(frozen=True)
class Sketched:
    """The sketch of a recording, or of one of its parts.

    Attributes:
        recording: content hash.
        name: first name of the log, with the part: `bag.h5/demo_3`.
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
    """The units of one task, inside one transaction."""

    def __init__(self, table: SketchTable, task: Task) -> None:
        self._table = table
        self._task = task
        self._cache: dict[int, _Unit] = {}

    @property
    def is_new(self) -> bool:
        """Whether the index is empty because it was lost, or compares in another way now."""
        return self._table.is_new

    def registered(self, recordings: Iterable[str]) -> set[str]:
        """Return those of some recordings that were ever added, also under other rules."""
        return self._table.registered(recordings)

    def add(self, items: Iterable[Sketched]) -> dict[str, list[Duplicate]]:
        """Add units in the given order; return the earliest duplicates of each unit that has some.

        A unit that exists already keeps its number; its sketch is replaced.
        """
        duplicates: dict[str, list[Duplicate]] = {}
        for batch in batches(items, BATCH):
            courses = self._courses([item.sketch for item in batch])
            all_keys = hashed(courses)
            added = self._insert(batch, courses, [key.stored for key in all_keys])
            for number, item, course, its_keys in zip(added, batch, courses, all_keys, strict=True):
                if matches := self._find_duplicates(number, course, its_keys):
                    duplicates[item.unit] = matches
                    self._table.add_pairs(
                        number, {match.number: match.distance for match in matches}
                    )
        return duplicates

    def _courses(self, sketches: Sequence[Sketch]) -> list[Course]:
        seconds = [sketch.seconds for sketch in sketches]
        begins = [sketch.begins for sketch in sketches]
        return courses_of(seconds, [numbers(sketch) for sketch in sketches], begins, self._task)

    def insert(self, items: Iterable[Sketched]) -> None:
        """Add units without a search for those that they are duplicates of."""
        for batch in batches(items, BATCH):
            courses = self._courses([item.sketch for item in batch])
            self._insert(batch, courses, keys(courses))

    def _insert(
        self,
        items: Sequence[Sketched],
        courses: Sequence[Course],
        item_keys: Sequence[Sequence[int]],
    ) -> list[int]:
        existing = self._table.numbers_of(item.unit for item in items)
        self._delete(existing.values())
        rows = [
            StoredSketch(
                item.unit,
                item.recording,
                item.name,
                item.sketch.seconds,
                item.sketch.begins,
                numbers(item.sketch).tobytes(),
            )
            for item in items
        ]
        added = self._table.insert(rows, item_keys, existing)
        for number, item, course in zip(added, items, courses, strict=True):
            self._cache[number] = _Unit(item.unit, item.recording, course)
        return added

    def _find_duplicates(self, number: int, course: Course, its_keys: Keys) -> list[Duplicate]:
        near = self._candidates(number, its_keys.probes)
        units = self._units(near)
        far = duplicate_distances(course, [unit.course for unit in units])
        duplicates = [
            Duplicate(candidate, unit.unit, unit.recording, distance)
            for candidate, unit, distance in zip(near, units, far, strict=True)
            if distance is not None
        ]
        return duplicates[:MOST]

    def _candidates(self, number: int, probe_keys: Sequence[int]) -> list[int]:
        """Return the numbers of earlier units under the given keys, sorted."""
        # Duplicates share many keys; the number of units that share one by chance grows with all.
        return sorted(self._table.find(probe_keys, number, MAX_COMPARED))

    def _units(self, unit_numbers: Sequence[int]) -> list["_Unit"]:
        """Return units by their numbers."""
        if unknown := [number for number in unit_numbers if number not in self._cache]:
            if len(self._cache) > _MAX_CACHED:
                self._cache.clear()
                unknown = unit_numbers
            self._cache |= self._read(unknown)
        return [self._cache[number] for number in unit_numbers]

    def _read(self, unit_numbers: Sequence[int]) -> dict[int, "_Unit"]:
        rows = self._table.read(unit_numbers)
        seconds, begins = (
            [getattr(row, of) for row in rows.values()] for of in ("seconds", "begins")
        )
        arrays = [np.frombuffer(row.numbers, np.float32) for row in rows.values()]
        courses = courses_of(seconds, arrays, begins, self._task)
        return {
            number: _Unit(row.unit, row.hash, course)
            for (number, row), course in zip(rows.items(), courses, strict=True)
        }

    def remove(self, recordings: Iterable[str]) -> None:
        """Delete recordings with all their parts; unknown ones are ignored."""
        self._delete(self._table.numbers_of_recordings(recordings))

    def forget(self, recording: str) -> None:
        """Delete a recording as if it had never been added."""
        self.remove([recording])
        self._table.forget(recording)

    def _delete(self, unit_numbers: Iterable[int]) -> None:
        for batch in batches(unit_numbers, BATCH):
            courses = [unit.course for unit in self._units(batch)]
            self._table.delete(dict(zip(batch, keys(courses), strict=True)))
            for number in batch:
                del self._cache[number]

    def pairs(self, limit: int) -> tuple[int, list[DuplicatePair]]:
        """Return the number of pairs, and the nearest ones."""
        return self._table.pairs, [
            DuplicatePair((min(first, second), max(first, second)), distance)
            for first, second, distance in self._table.nearest_pairs(limit)
        ]


@contextmanager
def open_index(home: Home, task: Task) -> Generator[DuplicateIndex]:
    """Open a task's index in one transaction of the catalog, which no other may write meanwhile."""
    with transaction(home, write=True) as connection:
        table = SketchTable(connection, task.name, _signature(task))
        yield DuplicateIndex(table, task)
        table.save()


def _signature(task: Task) -> str:
    """Return what keys and distances depend on besides the sketches."""
    states: list[Any] = [
        [name, task.channels[name].kind, task.channels[name].limits]
        for name in course_channels(task)
    ]
    shape = [POINTS, SIGNS, TABLES, hashlib.sha256(planes(1).tobytes()).hexdigest()]
    return digest({"states": states, "shape": shape})
