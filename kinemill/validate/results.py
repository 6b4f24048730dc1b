"""Results of a task in the catalog: rows, totals and outliers, changed in one transaction.

Totals and outliers follow from the set of rows alone. They are updated with the changed rows, and
made anew from all rows where that is not possible (`Totals.is_exact`, `OutlierReference`).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection

from kinemill.catalog import evaluations, outliers, transaction
from kinemill.catalog.evaluations import EvaluationSet
from kinemill.catalog.history import Head, batches
from kinemill.catalog.tables import ANY_CHECK
from kinemill.store import Home, Json, from_json_value, to_json_value
from kinemill.task import Task
from kinemill.validate.check_results import MAX_LISTED
from kinemill.validate.evaluation import Details, NewResult
from kinemill.validate.outliers import SAMPLE, OutlierReference, find_outliers, make_reference
from kinemill.validate.totals import Item, Totals

_CHUNK = 4096  # rows with their details in memory
_WITH_TRACKS = "evaluated.path != '' AND evaluated.removed IS NULL"


@dataclass(frozen=True)
class Update:
    """New results, and the content hashes of recordings whose results are no longer current."""

    new: Sequence[NewResult] = ()
    removed: Sequence[str] = ()


@dataclass(frozen=True)
class State:
    """The document of the head.

    Attributes:
        totals: over all rows.
        recordings: digest of the set of recordings that the rows are of; "" while incomplete.
        outliers: number of the change up to which outliers are known.
        reference: digest of the sample that they were compared with.
    """

    totals: Totals = field(default_factory=Totals)
    recordings: str = ""
    outliers: int = 0
    reference: str = ""

    @classmethod
    def of(cls, head: Head, path: Path) -> "State":
        """Return the state that a head holds.

        Raises:
            CorruptArtifact: A field is missing or has another type.
        """
        return from_json_value(head.document, cls, path) if head.document else cls()


class Results:
    """The results of a task; methods that write are called under the lock of its validation."""

    def __init__(self, task: Task, home: Home) -> None:
        self._task = task
        self.home = home

    @property
    def head(self) -> Head:
        """The last change."""
        return evaluations.read_head(self.home, self._task.name) or Head()

    @property
    def totals(self) -> Totals:
        """Totals over all rows."""
        return State.of(self.head, self.home.catalog_db).totals

    def first(self, limit: int, where: str) -> list[Item]:
        """Return the first rows by content hash that fulfill an SQL condition."""
        rows = evaluations.last_set(self.home, self._task.name)
        return [*self._items(rows.first(limit, where))]

    def find(self, hashes: Sequence[str]) -> list[Item]:
        """Return the rows of some recordings, in the given order."""
        rows = evaluations.last_set(self.home, self._task.name).find(hashes)
        return [*self._items(rows[hash_] for hash_ in hashes if hash_ in rows)]

    def faulty(self, check: str = ANY_CHECK, limit: int = MAX_LISTED) -> list[Item]:
        """Return the first recordings with findings of a check, by content hash."""
        return self.find(evaluations.faulty(self.home, self._task.name, check, limit))

    def quarantined_names(self, limit: int) -> list[str]:
        """Return the first names of recordings without an accepted episode, sorted."""
        return evaluations.quarantined_names(self.home, self._task.name, limit)

    def outliers(self, check: str, limit: int) -> tuple[int, list[Json]]:
        """Return the number of outliers of a check, and the first ones by name."""
        total, listed = outliers.find_outliers(self.home, self._task.name, check, limit)
        return total, [json.loads(text) for text in listed]

    def enter(self, update: Update, rules: str) -> None:
        """Enter results; the set is incomplete until `complete` is called.

        `rules` is empty while some rows may be of other rules.
        """
        with transaction(self.home, write=True) as connection:
            head, state = self._replace(connection, update, rules)
            self._save(connection, head, state, named=False)

    def complete(self, update: Update, rules: str, recordings: str) -> list[Item]:
        """Enter the last results, and find outliers; return what all rows are compared with."""
        with transaction(self.home, write=True) as connection:
            same_rules = self._head(connection).rules == rules
            head, state = self._replace(connection, update, rules)
            rows = EvaluationSet(self.home, self._task.name, head.change, connection)
            sample = [*self._items(rows.first(SAMPLE, _WITH_TRACKS))]
            reference = make_reference(self._task, sample)
            totals = state.totals
            if reference.digest != state.reference or not (same_rules and totals.is_exact):
                totals = self._compare_all(connection, rows, reference)
            else:
                changed = evaluations.changed_after(connection, self._task.name, state.outliers)
                items = [*self._items(iter(rows.find(changed).values()))]
                self._set_outliers(connection, reference, items, changed)
            state = State(totals, recordings, head.change, reference.digest)
            self._save(connection, head, state, named=True)
        return sample

    def forget(self, hash_: str) -> None:
        """Delete all results of a recording, and the earlier sets that had it."""
        with transaction(self.home, write=True) as connection:
            head = self._head(connection)
            if head.change:
                head, state = self._replace(connection, Update(removed=[hash_]), head.rules)
                self._save(connection, head, state, named=True)
                evaluations.forget(connection, self._task.name, head, hash_)

    def _head(self, connection: Connection) -> Head:
        return evaluations.head_in(connection, self._task.name) or Head()

    def _replace(self, connection: Connection, update: Update, rules: str) -> tuple[Head, State]:
        head = self._head(connection)
        name = self._task.name
        state = State.of(head, self.home.catalog_db)
        rows = EvaluationSet(self.home, name, head.change, connection)
        new = {result.row.hash: result for result in update.new}
        present = rows.find([*new, *update.removed])
        added = [
            result
            for key, result in new.items()
            if key not in present or present[key][0] != result.row
        ]
        old = [
            present[key]
            for key in (*(result.row.hash for result in added), *update.removed)
            if key in present
        ]
        change, set_ = evaluations.replace(
            connection, name, head, [row for row, _ in old], [result.entry() for result in added]
        )
        totals = state.totals.changed(
            self._items(iter(old)), [(result.row, result.details) for result in added]
        )
        state = State(totals, "", state.outliers, state.reference)
        return Head(change, set_, rules, {}), state

    def _save(self, connection: Connection, head: Head, state: State, *, named: bool) -> None:
        document: Json = to_json_value(state)
        head = Head(head.change, head.set, head.rules, document)
        evaluations.save_head(connection, self._task.name, head, named=named)

    def _compare_all(
        self, connection: Connection, rows: EvaluationSet, reference: OutlierReference
    ) -> Totals:
        """Find the outliers among all rows; return the totals of all rows."""
        totals = Totals()
        outliers.replace_outliers(connection, self._task.name, [], None)
        for items in batches(self._items(rows.first()), _CHUNK):
            self._set_outliers(connection, reference, items, [])
            totals = totals.changed([], items)
        return totals

    def _set_outliers(
        self,
        connection: Connection,
        reference: OutlierReference,
        items: Sequence[Item],
        replaced: Sequence[str],
    ) -> None:
        rows = (
            (check, hash_, outlier.recording, json.dumps(outlier.to_json()))
            for check, hash_, outlier in find_outliers(self._task, reference, items)
        )
        outliers.replace_outliers(connection, self._task.name, rows, replaced)

    def _items(self, rows: Iterator[tuple[evaluations.Evaluation, str]]) -> Iterator[Item]:
        path = self.home.catalog_db
        return ((row, Details.parse(document, path)) for row, document in rows)
