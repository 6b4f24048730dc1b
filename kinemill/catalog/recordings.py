"""Sets of recordings: append-only rows, so that any earlier set can be read.

A change appends rows and updates the head of its task in one transaction: the number of the change,
the totals, and the digest of the set. The digest is a sum over the entries, so its update costs the
same among a thousand and a million recordings.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, insert

from kinemill.catalog.database import transaction
from kinemill.catalog.history import (
    Head,
    RowSet,
    end,
    forget_earlier,
    head_of,
    live,
    set_difference,
    set_digest,
    set_head,
)
from kinemill.catalog.tables import recordings
from kinemill.store import ArtifactRef, Home, digest


@dataclass(frozen=True)
class CatalogEntry:
    """A recording of a task.

    Attributes:
        hash: content hash, sha256 in hex.
        name: of the log at first ingest.
        ref: artifact with its tracks.
        tracks: number of tracks; 0 if it could not be read.
        rows: number of rows of the log.
        dropped_rows: number of rows that could not be read.
        reasons: number of findings while it was read.
        released: whether a user released it from quarantine.
    """

    hash: str
    name: str
    ref: ArtifactRef
    tracks: int
    rows: int
    dropped_rows: int
    reasons: int
    released: bool = False


@dataclass(frozen=True)
class Totals:
    """Sums over the recordings of a set."""

    recordings: int = 0
    quarantined: int = 0
    tracks: int = 0
    rows: int = 0
    dropped_rows: int = 0

    def plus(self, entry: CatalogEntry, sign: int = 1) -> "Totals":
        """Return the sums with one more recording, or with one less for `sign` -1."""
        return Totals(
            self.recordings + sign,
            self.quarantined + sign * (not entry.tracks),
            self.tracks + sign * entry.tracks,
            self.rows + sign * entry.rows,
            self.dropped_rows + sign * entry.dropped_rows,
        )


@dataclass(frozen=True)
class SetRules:
    """What a set of recordings depends on besides their bytes.

    Attributes:
        rules: digest of the rules by which they were read.
        barred: content hashes of the recordings that decisions exclude.
        released: content hashes of those that users released from quarantine.
        edits: content hash and digest of the edits of those that users edited.
    """

    rules: str = ""
    barred: frozenset[str] = frozenset()
    released: frozenset[str] = frozenset()
    edits: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class CatalogHead:
    """The last change of a task's recordings.

    Attributes:
        change: number of the change, from 1.
        set: digest of the set of recordings.
        by: what the set depends on besides their bytes.
        totals: sums over the recordings.
    """

    change: int
    set: str
    by: SetRules
    totals: Totals


class RecordingSet(RowSet):
    """The recordings of a task after one of its changes."""

    table = recordings

    def __iter__(self) -> Iterator[CatalogEntry]:
        """Yield the entries, sorted by hash."""
        return self.within("", "g")

    def within(self, first: str, stop: str) -> Iterator[CatalogEntry]:
        """Yield the entries with hashes from `first` up to `stop`, excluded, sorted by hash."""
        query = self._query().where(recordings.c.hash >= first, recordings.c.hash < stop)
        return map(_entry, self._rows(query.order_by(recordings.c.hash)))

    def find_all(self, hashes: Iterable[str]) -> dict[str, CatalogEntry]:
        """Return the entries of some recordings that have one, by hash."""
        return {row.hash: _entry(row) for row in self._of(self._query(), hashes)}

    def present(self, hashes: Iterable[str]) -> set[str]:
        """Return those of some content hashes that have an entry."""
        query = self._query().with_only_columns(recordings.c.hash)
        return {row.hash for row in self._of(query, hashes)}

    def named(self, name: str) -> list[CatalogEntry]:
        """Return the entries with this name, sorted by hash."""
        query = self._query().where(recordings.c.name == name).order_by(recordings.c.hash)
        return [*map(_entry, self._rows(query))]


def read_head(home: Home, task: str) -> CatalogHead | None:
    """Return the last change of a task's recordings; None if the catalog has none."""
    with transaction(home) as connection:
        return _head(connection, task)


def amend(
    home: Home,
    task: str,
    changes: Mapping[str, CatalogEntry | None],
    by: SetRules,
    *,
    whole: bool = False,
) -> CatalogHead:
    """Change the recordings of a task in one transaction, and return the new head.

    Entries that are the same as before change nothing. Call it under the lock of the task's ingest.
    `changes` are new entries by content hash; None removes a recording. With `whole`, all others
    are removed.
    """
    with transaction(home, write=True) as connection:
        head = _head(connection, task) or CatalogHead(0, set_digest([]), SetRules(), Totals())
        present = _rows_of(connection, task, None if whole else changes)
        requested = {**dict.fromkeys(present), **changes} if whole else changes
        new = {
            hash_: recording
            for hash_, recording in requested.items()
            if present.get(hash_) != recording
        }
        old = [present[hash_] for hash_ in new if hash_ in present]
        _write(connection, task, head.change + 1, old, new)
        made = CatalogHead(head.change + bool(new), *_sums(head, old, new.values(), by))
        if made != head:
            _set_head(connection, task, made)
    return made


def _write(
    connection: Connection,
    task: str,
    change: int,
    old: Iterable[CatalogEntry],
    new: Mapping[str, CatalogEntry | None],
) -> None:
    end(connection, recordings, task, (recording.hash for recording in old), change)
    if rows := [_row(task, change, recording) for recording in new.values() if recording]:
        connection.execute(insert(recordings), rows)


def _sums(
    head: CatalogHead, old: list[CatalogEntry], new: Iterable[CatalogEntry | None], by: SetRules
) -> tuple[str, SetRules, Totals]:
    """Return set, rules and totals of a head after entries were replaced."""
    added = [recording for recording in new if recording]
    set_ = set_difference([bytes.fromhex(head.set), *map(_digest, added)], map(_digest, old))
    totals = head.totals
    for sign, entries in ((-1, old), (1, added)):
        for entry in entries:
            totals = totals.plus(entry, sign)
    return set_, by, totals


def totals_of(entries: Iterable[CatalogEntry]) -> Totals:
    """Return the sums over some entries."""
    totals = Totals()
    for entry in entries:
        totals = totals.plus(entry)
    return totals


def set_digest_of(entries: Iterable[CatalogEntry]) -> str:
    """Return the digest of a set of entries, as a head has it."""
    return set_digest(_digest(entry) for entry in entries)


def _digest(entry: CatalogEntry) -> bytes:
    return bytes.fromhex(digest(asdict(entry)))


def forget(home: Home, task: str, hash_: str) -> None:
    """Delete every row of a recording, and with them the earlier sets of the task."""
    head = read_head(home, task)
    if head is None:
        return
    amend(home, task, {hash_: None}, head.by)
    with transaction(home, write=True) as connection:
        table = recordings.c
        connection.execute(delete(recordings).where(table.task == task, table.hash == hash_))
        if last := head_of(connection, task, recordings):
            forget_earlier(connection, recordings, task, last)


def _head(connection: Connection, task: str) -> CatalogHead | None:
    head = head_of(connection, task, recordings)
    if head is None:
        return None
    barred, released = (frozenset(head.document[key]) for key in ("barred", "released"))
    edits = frozenset((hash_, edit) for hash_, edit in head.document["edits"])
    by = SetRules(head.rules, barred, released, edits)
    return CatalogHead(head.change, head.set, by, Totals(**head.document["totals"]))


def _set_head(connection: Connection, task: str, head: CatalogHead) -> None:
    document = {
        "totals": asdict(head.totals),
        "barred": sorted(head.by.barred),
        "released": sorted(head.by.released),
        "edits": sorted(head.by.edits),
    }
    set_head(connection, task, recordings, Head(head.change, head.set, head.by.rules, document))


def _rows_of(
    connection: Connection, task: str, hashes: Iterable[str] | None
) -> dict[str, CatalogEntry]:
    """Return the entries that count, of some recordings or of all, by content hash."""
    return {row.hash: _entry(row) for row in live(connection, recordings, task, hashes)}


def _row(task: str, change: int, entry: CatalogEntry) -> Mapping[str, object]:
    values = {**vars(entry), **entry.ref.to_json(), "task": task, "added": change}
    del values["ref"]
    return values


def _entry(row: Row[Any]) -> CatalogEntry:
    return CatalogEntry(
        row.hash,
        row.name,
        ArtifactRef(row.path, row.digest),
        row.tracks,
        row.rows,
        row.dropped_rows,
        row.reasons,
        row.released,
    )
