"""Results of a task in the catalog: rows, totals and outliers, changed in one transaction.

Totals and outliers follow from the set of rows alone. They are updated with the changed rows, and
made anew from all rows where that is not possible (`Totals.is_exact`, `_OutlierReference`).

Outliers are recordings whose units or actions differ from those of a sample of recordings. The
sample is the first recordings by content hash. Hashes are random with respect to content, so it is
as good as any other one, and it depends on the set of recordings alone. A new recording among many
rarely enters the sample. Then all recordings are compared again; otherwise only it is.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sqlalchemy import Connection

from kinemill.catalog import evaluations, transaction
from kinemill.catalog.evaluations import EvaluationSet
from kinemill.catalog.history import Head, batches, head_of, set_head
from kinemill.catalog.tables import ANY_CHECK, evaluated
from kinemill.store import Home, Json, digest, from_json_value, to_json_value
from kinemill.task import Task
from kinemill.validate.action_responses import (
    Responding,
    ResponseReference,
    find_action_outliers,
    make_response_reference,
)
from kinemill.validate.check_results import ACTION_OUTLIERS, MAX_LISTED, UNIT_OUTLIERS, Outlier
from kinemill.validate.evaluation import Details, NewResult
from kinemill.validate.motion import velocity_pairs
from kinemill.validate.totals import Item, Totals

_CHUNK = 4096  # rows with their details in memory
_WITH_TRACKS = "evaluated.path != '' AND evaluated.removed IS NULL"

SAMPLE = 512  # recordings with tracks

_FoundOutlier = tuple[str, str, Outlier]  # check, content hash, outlier
_FAR = 20.0  # minimum multiple of the usual deviation; no real run exceeds the others by as much
_LEAST = 3  # minimum number of recordings for a comparison
_LOWEST = 1e-12  # replaces a deviation of zero

_Statistics = Mapping[str, Sequence[float | None]]  # `<channel>:std` -> value by episode


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


@dataclass(frozen=True)
class _OutlierReference:
    """What recordings are compared with.

    Attributes:
        digest: of the sample.
        stds: usual standard deviation of each channel.
        responses: usual responses to actions; None without enough recordings.
    """

    digest: str
    stds: dict[str, float]
    responses: ResponseReference | None


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
        total, listed = evaluations.find_outliers(self.home, self._task.name, check, limit)
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
            reference = _make_reference(self._task, sample)
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
        return head_of(connection, self._task.name, evaluated) or Head()

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
        set_head(connection, self._task.name, evaluated, head, named=named)

    def _compare_all(
        self, connection: Connection, rows: EvaluationSet, reference: _OutlierReference
    ) -> Totals:
        """Find the outliers among all rows; return the totals of all rows."""
        totals = Totals()
        evaluations.replace_outliers(connection, self._task.name, [], None)
        for items in batches(self._items(rows.first()), _CHUNK):
            self._set_outliers(connection, reference, items, [])
            totals = totals.changed([], items)
        return totals

    def _set_outliers(
        self,
        connection: Connection,
        reference: _OutlierReference,
        items: Sequence[Item],
        replaced: Sequence[str],
    ) -> None:
        rows = (
            (check, hash_, outlier.recording, json.dumps(outlier.to_json()))
            for check, hash_, outlier in _find_outliers(self._task, reference, items)
        )
        evaluations.replace_outliers(connection, self._task.name, rows, replaced)

    def _items(self, rows: Iterator[tuple[evaluations.Evaluation, str]]) -> Iterator[Item]:
        path = self.home.catalog_db
        return ((row, Details.parse(document, path)) for row, document in rows)


def _make_reference(task: Task, sample: Sequence[Item]) -> _OutlierReference:
    """Return the reference of a sample, given in the order of content hashes."""
    accepted = [(row, details) for row, details in sample if row.episodes]
    products = {row.hash: details.products for row, details in accepted if details.products}
    return _OutlierReference(
        digest([row.digest.hex() for row, _ in sample]),
        usual_stds([details.statistics for _, details in accepted], task),
        make_response_reference(products),
    )


def _find_outliers(
    task: Task, reference: _OutlierReference, items: Sequence[Item]
) -> Iterator[_FoundOutlier]:
    """Yield the outliers among some recordings."""
    for row, details in items:
        for outlier in find_unit_outliers(row.name, details.statistics, reference.stds, task):
            yield UNIT_OUTLIERS, row.hash, outlier
    if reference.responses:
        recordings = [
            Responding(row.hash, row.name, details.products)
            for row, details in items
            if row.episodes and details.products
        ]
        for hash_, outlier in find_action_outliers(recordings, reference.responses, task):
            yield ACTION_OUTLIERS, hash_, outlier


def usual_stds(recordings: Sequence[_Statistics], task: Task) -> dict[str, float]:
    """Return the median standard deviation over episodes of each channel with a derivative.

    Too few `recordings` have no usual deviation.
    """
    if len(recordings) < _LEAST:
        return {}
    channels = dict.fromkeys(name for pair in velocity_pairs(task) for name in pair)
    values = {
        name: [
            std for statistics in recordings for std in statistics[f"{name}:std"] if std is not None
        ]
        for name in channels
    }
    return {name: max(float(np.median(all_)), _LOWEST) for name, all_ in values.items() if all_}


def find_unit_outliers(
    recording: str, statistics: _Statistics, usual: Mapping[str, float], task: Task
) -> list[Outlier]:
    """Return the pairs of a recording in which position and velocity are both far too large.

    The two agree with each other, so no check of one recording fails. Usually both are in degrees.
    """
    outliers: list[Outlier] = []
    for velocity, position in velocity_pairs(task):
        if position not in usual or velocity not in usual or not statistics:
            continue
        unit = "in degrees" if task.channels[position].unit == "rad" else "in another unit"
        stds = zip(statistics[f"{position}:std"], statistics[f"{velocity}:std"], strict=True)
        factor = max(
            min((position_std or 0.0) / usual[position], (velocity_std or 0.0) / usual[velocity])
            for position_std, velocity_std in stds
        )
        if factor > _FAR:
            text = f"{factor:.3g} times the usual deviation, as if {unit}"
            outliers.append(Outlier(recording, [position, velocity], text))
    return outliers
