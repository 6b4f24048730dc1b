"""Near-duplicates: sketches, the keys they are found by, pairs, and what each recording repeats.

A unit is a recording, or one part of a recording that has several. Units are numbered in the order
in which they arrive. A key holds the earliest `ROOM` units. What each recording repeats follows
from the notes of `kinemill.validate.duplicates.registry`, which are the record.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    Table,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    text,
)

from kinemill.catalog.database import transaction
from kinemill.catalog.history import Head, batches, head_of, set_head
from kinemill.catalog.tables import duplicates, sketch_keys, sketch_pairs, sketched, sketches
from kinemill.store.home import Home

ROOM = 64  # maximum number of units under one key
_AMONG = {  # a list of any length as one parameter, so that the statement is prepared once
    "sqlite": "sketch_keys.key IN (SELECT value FROM json_each(:keys))",
    "postgresql": "sketch_keys.key = ANY (CAST(translate(:keys, '[]', '{}') AS bigint[]))",
}

_Roots = Mapping[str, str]  # by part of a recording; "" for the recording as a whole


@dataclass(frozen=True)
class StoredSketch:
    """A unit in the index.

    Attributes:
        unit: content hash of the recording, with the part if it has several.
        hash: content hash of the recording.
        name: name of the log, with the part.
        seconds: duration, s.
        begins: digests of first rows.
        numbers: float32 values of the sketch.
    """

    unit: str
    hash: str
    name: str
    seconds: float
    begins: list[str]
    numbers: bytes


class SketchTable:
    """The index of one task in an open write transaction; `save` ends the changes.

    Args:
        connection: from `transaction`.
        task: name of the task.
        signature: digest of what keys and distances depend on besides the sketches.

    Attributes:
        is_new: whether the index was emptied just now, because its signature is another.
    """

    def __init__(self, connection: Connection, task: str, signature: str) -> None:
        self._connection = connection
        self._task = task
        self._signature = signature
        head = head_of(connection, task, sketches)
        self.is_new = head is None or head.rules != signature
        if head is None or self.is_new:
            for table in (sketches, sketch_keys, sketch_pairs):
                connection.execute(delete(table).where(table.c.task == task))
            head = Head(document={"units": 0, "pairs": 0})
        self._head = head
        self._last = head.change  # number of the last unit
        self.units: int = head.document["units"]
        self.pairs: int = head.document["pairs"]

    def save(self) -> None:
        """Save how many units and pairs there are."""
        document = {"units": self.units, "pairs": self.pairs}
        head = Head(self._last, rules=self._signature, document=document)
        if head != self._head:
            set_head(self._connection, self._task, sketches, head, named=False)

    def registered(self, recordings: Iterable[str]) -> set[str]:
        """Return those of some recordings that were ever added, also under another signature."""
        of = sketched.c
        query = select(of.hash).where(of.task == self._task)
        return {
            row[0]
            for batch in batches(recordings)
            for row in self._connection.execute(query.where(of.hash.in_(batch)))
        }

    def forget(self, recording: str) -> None:
        """Forget that a recording was ever added."""
        of = sketched.c
        where = (of.task == self._task) & (of.hash == recording)
        self._connection.execute(delete(sketched).where(where))

    def numbers_of(self, units: Iterable[str]) -> dict[str, int]:
        """Return the numbers of those of some units that are in the index, by unit."""
        return {row.unit: row.number for row in self._rows(sketches.c.unit, units)}

    def numbers_of_recordings(self, recordings: Iterable[str]) -> list[int]:
        """Return the numbers of all units of some recordings."""
        return [row.number for row in self._rows(sketches.c.hash, recordings)]

    def read(self, numbers: Iterable[int]) -> dict[int, StoredSketch]:
        """Return units by their numbers."""
        return {
            row.number: StoredSketch(
                row.unit, row.hash, row.name, row.seconds, json.loads(row.begins), row.numbers
            )
            for row in self._rows(sketches.c.number, numbers)
        }

    def insert(
        self,
        rows: Sequence[StoredSketch],
        keys: Sequence[Sequence[int]],
        numbers: Mapping[str, int],
    ) -> list[int]:
        """Add units that are not in the index, each under its keys; return their numbers.

        Args:
            rows: the units.
            keys: keys of each unit; a full one is left out.
            numbers: numbers of some units; the others get the next ones.
        """
        row_numbers = list[int]()
        values = list[dict[str, object]]()
        for row in rows:
            self._last += row.unit not in numbers
            row_numbers.append(numbers.get(row.unit, self._last))
            begins = json.dumps(row.begins)
            values.append(
                {**vars(row), "task": self._task, "number": row_numbers[-1], "begins": begins}
            )
        recordings = {row.hash for row in rows}
        new = [
            {"task": self._task, "hash": recording}
            for recording in sorted(recordings - self.registered(recordings))
        ]
        for table, added in ((sketches, values), (sketched, new), self._ranked(row_numbers, keys)):
            if added:
                self._connection.execute(insert(table), added)
        self.units += len(rows)
        return row_numbers

    def _ranked(
        self, numbers: Sequence[int], keys: Sequence[Sequence[int]]
    ) -> tuple[Table, list[dict[str, object]]]:
        """Return the table of keys, and the rows to add to it."""
        of = sketch_keys.c
        unique = sorted({key for sketch_keys in keys for key in sketch_keys})
        query = select(of.key, func.max(of.rank)).where(of.task == self._task).group_by(of.key)
        last = {
            key: rank
            for batch in batches(unique)
            for key, rank in self._connection.execute(query.where(of.key.in_(batch)))
        }
        rows = list[dict[str, object]]()
        for number, number_keys in zip(numbers, keys, strict=True):
            for key in number_keys:
                rank = last[key] = last.get(key, -1) + 1
                if rank < ROOM:
                    rows.append({"task": self._task, "key": key, "rank": rank, "number": number})
        return sketch_keys, rows

    def find(self, keys: Iterable[int], stop: int, limit: int) -> list[int]:
        """Return at most `limit` numbers below `stop` under any of the keys.

        Those under more keys come first, and among equals the smaller number.
        """
        of = sketch_keys.c
        among = text(_AMONG[self._connection.dialect.name])
        query = (
            select(of.number)
            .where(of.task == self._task, among, of.number < stop)
            .group_by(of.number)
            .order_by(func.count().desc(), of.number)
            .limit(limit)
        )
        listed = {"keys": json.dumps([*keys], separators=(",", ":"))}
        return [row[0] for row in self._connection.execute(query, listed)]

    def delete(self, keys: Mapping[int, Iterable[int]]) -> None:
        """Delete units with their pairs."""
        of = sketch_keys.c
        pair = sketch_pairs.c
        named = [
            {"k": key, "n": number} for number, sketch_keys in keys.items() for key in sketch_keys
        ]
        where = (of.key == bindparam("k")) & (of.number == bindparam("n"))
        if named:
            self._connection.execute(delete(sketch_keys).where(of.task == self._task, where), named)
        for number in keys:
            with_it = or_(pair.later == number, pair.earlier == number)
            statement = delete(sketch_pairs).where(pair.task == self._task, with_it)
            self.pairs -= self._connection.execute(statement).rowcount
        for batch in batches(keys):
            self._connection.execute(delete(sketches).where(self._is(sketches.c.number.in_(batch))))
        self.units -= len(keys)

    def add_pairs(self, later: int, earlier: Mapping[int, float]) -> None:
        """Add pairs: distances by the number of the earlier unit."""
        rows = [
            {"task": self._task, "later": later, "earlier": number, "distance": distance}
            for number, distance in earlier.items()
        ]
        self._connection.execute(insert(sketch_pairs), rows)
        self.pairs += len(rows)

    def nearest_pairs(self, limit: int) -> list[tuple[str, str, float]]:
        """Return the names of the nearest pairs, and their distances."""
        pair = sketch_pairs.c
        first = sketches.alias()
        second = sketches.alias()
        query = (
            select(first.c.name, second.c.name, pair.distance)
            .join_from(
                sketch_pairs, first, (first.c.task == pair.task) & (first.c.number == pair.earlier)
            )
            .join(second, (second.c.task == pair.task) & (second.c.number == pair.later))
            .where(pair.task == self._task)
            .order_by(pair.distance, pair.later, pair.earlier)
        )
        return [(a, b, far) for a, b, far in self._connection.execute(query.limit(limit))]

    def _rows(
        self, column: Column[str] | Column[int], values: Iterable[str | int]
    ) -> list[Row[Any]]:
        query = select(sketches)
        return [
            row
            for batch in batches(values)
            for row in self._connection.execute(query.where(self._is(column.in_(batch))))
        ]

    def _is(self, condition: ColumnElement[bool]) -> ColumnElement[bool]:
        return (sketches.c.task == self._task) & condition


def read_notes(home: Home, task: str) -> dict[str, dict[str, str]]:
    """Return the roots of the parts of every recording with rows, by content hash."""
    with transaction(home) as connection:
        return _read_rows(connection, task)


def enter_notes(
    home: Home, task: str, notes: Mapping[str, _Roots], without: Iterable[str] = ()
) -> None:
    """Add the rows of some recordings unless they exist, and delete those of others."""
    with transaction(home, write=True) as connection:
        present = _read_rows(connection, task)
        table = duplicates.c
        rows = [
            {"task": task, "hash": hash_, "part": part, "root": root}
            for hash_, roots in notes.items()
            if hash_ not in present
            for part, root in roots.items()
        ]
        for batch in batches(rows):
            connection.execute(insert(duplicates), batch)
        for hashes in batches(without):
            unwanted = (table.task == task) & table.hash.in_(hashes)
            connection.execute(delete(duplicates).where(unwanted))


def _read_rows(connection: Connection, task: str) -> dict[str, dict[str, str]]:
    query = select(duplicates).where(duplicates.c.task == task)
    notes = dict[str, dict[str, str]]()
    for row in connection.execute(query):
        notes.setdefault(row.hash, {})[row.part] = row.root
    return notes
