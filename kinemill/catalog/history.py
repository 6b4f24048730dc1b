"""Append-only rows with change numbers: what the sets of recordings and of results share.

A head names the last change of a task: its number, the digest of the set, and the rules that the
rows depend on. `sets` remembers after which change a task had which set.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from kinemill.catalog.database import transaction
from kinemill.catalog.tables import heads, recordings, sets
from kinemill.store import Home, Json

_BATCH = 500  # values of one IN clause

T = TypeVar("T")

_MODULUS = 1 << 256


def set_digest(digests: Iterable[bytes]) -> str:
    """Return a digest of a set of sha256 digests, 32 bytes each: their sum modulo 2^256, in hex.

    No order changes it. Sums of disjoint sets add up (Bellare and Micciancio 1997, AdHash). It
    detects accidental differences, not adversarial ones.
    """
    return set_difference(digests, [])


def set_difference(digests: Iterable[bytes], without: Iterable[bytes]) -> str:
    """Return the digest of a set of digests, or of sums of them, without some others."""
    total = sum(int.from_bytes(item, "big") for item in digests)
    total -= sum(int.from_bytes(item, "big") for item in without)
    return f"{total % _MODULUS:064x}"


@dataclass(frozen=True)
class Head:
    """The last change of a set of a task.

    Attributes:
        change: number of the change, from 1; 0 without any.
        set: digest of the set.
        rules: digest of the rules that its rows depend on.
        document: what else is known about the set, as JSON.
    """

    change: int = 0
    set: str = set_digest([])
    rules: str = ""
    document: Json = field(default_factory=Json)


def head_of(connection: Connection, task: str, table: Table) -> Head | None:
    """Return the last change of a set; None if the catalog has none."""
    query = select(heads).where(heads.c.task == task, heads.c.kind == table.name)
    row = connection.execute(query).first()
    return Head(row.change, row.set, row.rules, json.loads(row.document)) if row else None


def set_head(
    connection: Connection, task: str, table: Table, head: Head, *, named: bool = True
) -> None:
    """Replace the head; `named` states whether the set can be found by its digest from now on."""
    of = {"task": task, "kind": table.name}
    connection.execute(delete(heads).where(heads.c.task == task, heads.c.kind == table.name))
    values = {"change": head.change, "set": head.set, "rules": head.rules}
    document = json.dumps(head.document, separators=(",", ":"))
    connection.execute(insert(heads).values(**of, **values, document=document))
    if named:
        same = and_(sets.c.task == task, sets.c.kind == table.name, sets.c.set == head.set)
        connection.execute(delete(sets).where(same))
        connection.execute(insert(sets).values(**of, set=head.set, change=head.change))


def change_of(home: Home, task: str, set_: str, table: Table = recordings) -> int | None:
    """Return the number of a change after which a task had this set, or None."""
    query = select(sets.c.change).where(
        sets.c.task == task, sets.c.kind == table.name, sets.c.set == set_
    )
    with transaction(home) as connection:
        return connection.execute(query).scalar()


def changed_between(
    home: Home, task: str, table: Table, first_change: int, second_change: int
) -> set[str]:
    """Return the content hashes of the rows that differ between two changes."""
    first, last = sorted((first_change, second_change))
    hashes = set[str]()
    with transaction(home) as connection:
        for column in (table.c.added, table.c.removed):
            query = select(table.c.hash).where(table.c.task == task, column > first, column <= last)
            hashes.update(row[0] for row in connection.execute(query))
    return hashes


class RowSet:
    """The rows of a table that count for a task after one of its changes.

    Args:
        home: its home.
        task: name of the task.
        change: number of the change.
        connection: an open transaction; default: one for each query.
    """

    table: ClassVar[Table]

    def __init__(
        self, home: Home, task: str, change: int, connection: Connection | None = None
    ) -> None:
        self._home = home
        self._task = task
        self.change = change
        self._connection = connection

    def changed_since(self, change: int) -> set[str]:
        """Return the content hashes of the rows that differ between two changes."""
        return changed_between(self._home, self._task, self.table, change, self.change)

    def _query(self) -> Select[Any]:
        return select(self.table).where(self.table.c.task == self._task, self._counts())

    def _counts(self) -> ColumnElement[bool]:
        """Return the condition that a row counts."""
        # The sum keeps SQLite from reading nearly all rows through the index on `added`.
        removed = self.table.c.removed
        return (self.table.c.added + 0 <= self.change) & (
            removed.is_(None) | (removed > self.change)
        )

    def _rows(self, *queries: Select[Any]) -> Iterator[Row[Any]]:
        present = self._connection
        with nullcontext(present) if present else transaction(self._home) as connection:
            for query in queries:
                yield from connection.execute(query).yield_per(1000)

    def _of(self, query: Select[Any], hashes: Iterable[str]) -> Iterator[Row[Any]]:
        """Yield the rows of a query for some recordings."""
        return self._rows(*(query.where(self.table.c.hash.in_(batch)) for batch in batches(hashes)))


def live(
    connection: Connection, table: Table, task: str, hashes: Iterable[str] | None = None
) -> Iterator[Row[Any]]:
    """Yield the rows that count after the last change, of some recordings or of all."""
    query = select(table).where(table.c.task == task, table.c.removed.is_(None))
    if hashes is None:
        yield from connection.execute(query)
        return
    for batch in batches(hashes):
        yield from connection.execute(query.where(table.c.hash.in_(batch)))


def end(
    connection: Connection, table: Table, task: str, hashes: Iterable[str], change: int
) -> None:
    """Mark the rows of some recordings as removed at a change."""
    if ended := [{"of": hash_, "until": change} for hash_ in hashes]:
        this = and_(
            table.c.task == task, table.c.hash == bindparam("of"), table.c.removed.is_(None)
        )
        connection.execute(update(table).where(this).values(removed=bindparam("until")), ended)


def live_paths(home: Home, table: Table) -> Iterator[tuple[str, str]]:
    """Yield task and path of the artifact of every row that counts."""
    query = select(table.c.task, table.c.path).where(table.c.removed.is_(None), table.c.path != "")
    with transaction(home) as connection:
        for row in connection.execute(query).yield_per(1000):
            yield row.task, row.path


def ended_paths(home: Home, task: str, set_: str, table: Table) -> set[str]:
    """Return the artifacts of an earlier set of a task that are no longer current."""
    change = change_of(home, task, set_, table)
    if change is None:
        return set()
    query = select(table.c.path).where(
        table.c.task == task, table.c.removed > change, table.c.added <= change
    )
    with transaction(home) as connection:
        return {row[0] for row in connection.execute(query)}


def forget_earlier(connection: Connection, table: Table, task: str, head: Head) -> None:
    """Delete the earlier sets of a task, which a deleted row belonged to."""
    earlier = and_(sets.c.task == task, sets.c.kind == table.name, sets.c.set != head.set)
    connection.execute(delete(sets).where(earlier))


def batches(items: Iterable[T], size: int = _BATCH) -> Iterator[list[T]]:
    """Yield items in lists, by default as many at a time as one query names."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
