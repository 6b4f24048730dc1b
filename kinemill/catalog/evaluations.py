"""Results of validation: one row per evaluated recording, with its episodes and findings.

A row holds what pages and totals select by; its document holds the rest. Both follow from the
artifact of the recording alone, so the rows can be rebuilt from the store. Call the functions that
write under the lock of the task's validation.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    delete,
    func,
    insert,
    select,
    text,
    union,
)

from kinemill.catalog.database import transaction
from kinemill.catalog.history import (
    Head,
    RowSet,
    batches,
    end,
    forget_earlier,
    head_of,
    set_difference,
)
from kinemill.catalog.tables import (
    ANY_CHECK,
    HELD_BACK,
    QUARANTINED,
    documents,
    episodes,
    evaluated,
    findings,
    outliers,
)
from kinemill.store import ArtifactRef, Home, Json, digest

_BELONGING = (documents, episodes, findings)


@dataclass(frozen=True)
class Evaluation:
    """The result of a recording, without its document.

    Attributes:
        hash: content hash.
        name: name of the log.
        read: digest of the ingested recording.
        ref: artifact with its episodes; an empty reference for a recording without tracks.
        released: whether a user released it from quarantine.
        episodes: number of accepted episodes.
        rows: number of accepted rows.
        dropped_rows: number of rows that validation dropped.
        sketches: number of sketches for the search for near-duplicates.
        faulty: whether there are findings.
        held_back: whether some of its rows are not accepted.
    """

    hash: str
    name: str
    read: str
    ref: ArtifactRef
    released: bool
    episodes: int
    rows: int
    dropped_rows: int
    sketches: int
    faulty: bool
    held_back: bool

    @property
    def digest(self) -> bytes:
        """Digest of what the row depends on, 32 bytes."""
        return bytes.fromhex(
            digest([self.hash, self.name, self.read, self.ref.digest, self.released])
        )


@dataclass(frozen=True)
class EpisodeRow:
    """An accepted episode: a file in the artifact of its recording."""

    id: str
    rows: int
    start_s: float
    file: str
    part: str = ""


@dataclass(frozen=True)
class ListedEpisode:
    """An accepted episode with its recording, as a dataset lists it."""

    id: str
    recording: str
    name: str
    rows: int
    ref: ArtifactRef
    file: str
    part: str


@dataclass(frozen=True)
class NewEvaluation:
    """A row to add, with what belongs to it.

    Attributes:
        document: everything else about the recording, as JSON.
        episodes: accepted episodes.
        findings: number of findings and of dropped rows by check.
    """

    row: Evaluation
    document: str
    episodes: list[EpisodeRow]
    findings: Mapping[str, tuple[int, int]]


class EvaluationSet(RowSet):
    """The evaluated recordings of a task after one of its changes."""

    table = evaluated

    def __iter__(self) -> Iterator[Evaluation]:
        """Yield the rows, sorted by hash."""
        return self.between("", "g")

    def between(self, after: str, last: str) -> Iterator[Evaluation]:
        """Yield the rows with hashes after one and up to another, included, sorted by hash."""
        query = self._query().where(evaluated.c.hash > after, evaluated.c.hash <= last)
        return map(_evaluation, self._rows(query.order_by(evaluated.c.hash)))

    def find(self, hashes: Iterable[str]) -> dict[str, tuple[Evaluation, str]]:
        """Return the rows of some recordings with their documents, by hash."""
        rows = self._of(_with_documents(self._query()), hashes)
        return {row.hash: (_evaluation(row), row.document) for row in rows}

    def first(self, limit: int | None = None, where: str = "") -> Iterator[tuple[Evaluation, str]]:
        """Yield the first rows by hash with their documents.

        `where` is an SQL condition on the table `evaluated`, in place of the one that a row counts.
        """
        condition = text(where) if where else self._counts()
        query = select(evaluated).where(evaluated.c.task == self._task, condition)
        for row in self._rows(_with_documents(query).order_by(evaluated.c.hash).limit(limit)):
            yield _evaluation(row), row.document

    def episodes(self, hashes: Iterable[str] | None = None) -> Iterator[ListedEpisode]:
        """Yield the accepted episodes of all recordings, or of some, sorted by recording and id."""
        of = episodes.c
        row = evaluated.c
        query: Any = (
            select(of.id, of.hash, row.name, of.rows, row.path, row.digest, of.file, of.part)
            .join_from(evaluated, episodes, _is_of_row(episodes))
            .where(row.task == self._task, self._counts())
            .order_by(row.hash, of.id)
        )
        rows = self._rows(query) if hashes is None else self._of(query, sorted(hashes))
        for id_, hash_, name, count, path, digest_, file, part in map(tuple, rows):
            yield ListedEpisode(id_, hash_, name, count, ArtifactRef(path, digest_), file, part)


def _is_of_row(table: Table) -> ColumnElement[bool]:
    """Return the condition that an entry of a table belongs to a row of `evaluated`."""
    of = table.c
    row = evaluated.c
    return (of.task == row.task) & (of.hash == row.hash) & (of.added == row.added)


def _with_documents(query: Select[Any]) -> Select[Any]:
    return query.add_columns(documents.c.document).join(documents, _is_of_row(documents))


def read_head(home: Home, task: str) -> Head | None:
    """Return the last change of a task's results; None if the catalog has none."""
    with transaction(home) as connection:
        return head_of(connection, task, evaluated)


def changed_after(connection: Connection, task: str, change: int) -> list[str]:
    """Return the content hashes of the rows that changed after a change, sorted."""
    query = union(
        *(
            select(evaluated.c.hash).where(evaluated.c.task == task, column > change)
            for column in (evaluated.c.added, evaluated.c.removed)
        )
    )
    return sorted(row[0] for row in connection.execute(query))


def last_set(home: Home, task: str) -> EvaluationSet:
    """Return the results of a task after the last change; without any, an empty set."""
    head = read_head(home, task)
    return EvaluationSet(home, task, head.change if head else 0)


def replace(
    connection: Connection,
    task: str,
    head: Head,
    old: Iterable[Evaluation],
    new: Iterable[NewEvaluation],
) -> tuple[int, str]:
    """Replace rows in an open transaction; return the number of the change, and the new set.

    `connection` is from `transaction`; the caller sets the new head.
    """
    ended = list(old)
    added = list(new)
    change = head.change + bool(ended or added)
    end(connection, evaluated, task, (evaluation.hash for evaluation in ended), change)
    rows = [_row(task, change, evaluation.row) for evaluation in added]
    belonging = {table: list[Json]() for table in _BELONGING}
    for evaluation in added:
        key = {"task": task, "hash": evaluation.row.hash, "added": change}
        belonging[documents].append({**key, "document": evaluation.document})
        belonging[episodes] += [{**key, **vars(episode)} for episode in evaluation.episodes]
        belonging[findings] += [
            {**key, "check": check, "count": count, "rows": lost}
            for check, (count, lost) in {**_marks(evaluation.row), **evaluation.findings}.items()
        ]
    for table, values in {evaluated: rows, **belonging}.items():
        if values:
            connection.execute(insert(table), values)
    digests = [bytes.fromhex(head.set), *(evaluation.row.digest for evaluation in added)]
    return change, set_difference(digests, (evaluation.digest for evaluation in ended))


def quarantined_names(home: Home, task: str, limit: int) -> list[str]:
    """Return the first names of recordings without an accepted episode, sorted."""
    query = select(evaluated.c.name).where(evaluated.c.task == task, text(QUARANTINED))
    with transaction(home) as connection:
        ordered = query.order_by(evaluated.c.name).limit(limit)
        return [row[0] for row in connection.execute(ordered)]


def held_back(
    home: Home, task: str, without: Iterable[str], offset: int, limit: int | None
) -> tuple[int, list[Evaluation]]:
    """Return a page of the recordings that are not accepted as a whole, by hash.

    `without` holds content hashes. It returns how many of the recordings that are left out are not
    accepted as a whole, and the page.
    """
    left_out = set(without)
    query = _with_finding(select(evaluated), task, HELD_BACK)
    with transaction(home) as connection:
        omitted = sum(
            len(connection.execute(query.where(evaluated.c.hash.in_(batch))).all())
            for batch in batches(left_out)
        )
        selected = connection.execute(query.order_by(findings.c.hash)).yield_per(200)
        rows = (_evaluation(row) for row in selected if row.hash not in left_out)
        return omitted, [*islice(rows, offset, None if limit is None else offset + limit)]


def faulty(home: Home, task: str, check: str, limit: int) -> list[str]:
    """Return the content hashes of the first recordings with findings of a check, sorted."""
    query = _with_finding(select(findings.c.hash), task, check).order_by(findings.c.hash)
    with transaction(home) as connection:
        return [row[0] for row in connection.execute(query.limit(limit))]


def _with_finding(query: Select[Any], task: str, check: str) -> Select[Any]:
    """Return a query of rows that count and have findings of a check."""
    of = findings.c
    joined = findings.join(evaluated, _is_of_row(findings))
    return query.select_from(joined).where(
        of.task == task, of.check == check, evaluated.c.removed.is_(None)
    )


def _marks(row: Evaluation) -> dict[str, tuple[int, int]]:
    """Return the entries by which pages find a recording."""
    marks = {ANY_CHECK: row.faulty, HELD_BACK: row.held_back}
    return {check: (1, 0) for check, holds in marks.items() if holds}


def forget(connection: Connection, task: str, head: Head, hash_: str) -> None:
    """Delete every row of a recording, and with them the earlier sets of the task."""
    for table in (evaluated, outliers, *_BELONGING):
        connection.execute(delete(table).where(table.c.task == task, table.c.hash == hash_))
    forget_earlier(connection, evaluated, task, head)


def _row(task: str, change: int, evaluation: Evaluation) -> Mapping[str, object]:
    values = {**asdict(evaluation), **evaluation.ref.to_json(), "task": task, "added": change}
    del values["ref"]
    return values | {"faulty": int(evaluation.faulty), "held_back": int(evaluation.held_back)}


def _evaluation(row: Row[Any]) -> Evaluation:
    return Evaluation(
        row.hash,
        row.name,
        row.read,
        ArtifactRef(row.path, row.digest),
        row.released,
        row.episodes,
        row.rows,
        row.dropped_rows,
        row.sketches,
        bool(row.faulty),
        bool(row.held_back),
    )


def replace_outliers(
    connection: Connection,
    task: str,
    listed: Iterable[tuple[str, str, str, str]],
    replaced: Iterable[str] | None,
) -> None:
    """Replace the outliers of some recordings, or of all.

    Args:
        connection: from `transaction`.
        task: name of the task.
        listed: check, content hash, name of the recording, and the outlier as JSON.
        replaced: content hashes whose outliers are removed; None: all.
    """
    deletion = delete(outliers).where(outliers.c.task == task)
    if replaced is None:
        connection.execute(deletion)
    else:
        for batch in batches(replaced):
            connection.execute(deletion.where(outliers.c.hash.in_(batch)))
    names = ("check", "hash", "name", "document")
    if rows := [{"task": task, **dict(zip(names, outlier, strict=True))} for outlier in listed]:
        connection.execute(insert(outliers), rows)


def find_outliers(home: Home, task: str, check: str, limit: int) -> tuple[int, list[str]]:
    """Return the number of outliers of a check, and the first ones by name, as JSON."""
    of = outliers.c
    this = (of.task == task) & (of.check == check)
    query = select(of.document).where(this).order_by(of.name, of.hash).limit(limit)
    with transaction(home) as connection:
        total = connection.execute(select(func.count()).where(this)).scalar_one()
        return total, [row[0] for row in connection.execute(query)]
