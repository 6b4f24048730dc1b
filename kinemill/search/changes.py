"""Which recordings changed since the view was last written, and what is known about each.

A position names the state of a task: the sets of its recordings and results in the catalog, its
decisions, and the memberships that were written again. A view remembers its position, and the
catalog knows what changed between two sets, so that only changed recordings are read again.
"""

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Table

from kinemill import catalog
from kinemill.catalog import CatalogEntry, RecordingSet
from kinemill.catalog.evaluations import Evaluation, EvaluationSet
from kinemill.catalog.history import changed_between
from kinemill.catalog.renewals import last_renewal, renewed_since
from kinemill.catalog.tables import evaluated, recordings
from kinemill.ingest.decisions import DECISIONS, Decision
from kinemill.ingest.membership import Member, find_member, is_member
from kinemill.ingest.recordings import reading_rules
from kinemill.store import Home, digest
from kinemill.task import Task
from kinemill.validate.evaluation import Details
from kinemill.validate.published import made_by, results_set

_RANGE = 1000  # changed recordings that are read together

T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """What is known about one recording.

    Attributes:
        member: name, size and stored metadata.
        entry: entry of the catalog; None if the recording was not read under the present rules.
        evaluated: result of the checks; None if it was not validated under the present rules.
        details: the rest of the result.
        decision: the current decision, or None.
    """

    member: Member
    entry: CatalogEntry | None
    evaluated: Evaluation | None
    details: Details | None
    decision: Decision | None


@dataclass(frozen=True)
class Position:
    """State of a task's recordings; equal positions have equal rows.

    Attributes:
        recordings: digest of the set of recordings; None without one under the same rules.
        episodes: digest of the set of results; None without one.
        renewals: number of the last membership that was written again.
        members: without `recordings`, the time of the last change of the folder of memberships, ns.
    """

    recordings: str | None = None
    episodes: str | None = None
    decisions: int = 0
    renewals: int = 0
    members: int = 0


def rules_digest(task: Task) -> str:
    """Return a digest of the rules that the rows of a task depend on."""
    channels = {name: task.channels[name].unit for name in task.numbers}
    return digest([reading_rules(task), made_by(task), task.ingest.meta.name, channels])


def current_position(task: Task, home: Home, state: Position) -> Position:
    """Return the state of a task now.

    The results of `state` stand in for lost episodes.
    """
    head = catalog.read_head(home, task.name)
    current = head is not None and head.by.rules == digest(reading_rules(task))
    return Position(
        head.set if head and current else None,
        results_set(task, home) or state.episodes,
        sum(1 for _ in (home.store / "decisions" / task.name).glob("*.json")),
        last_renewal(home, task.name),
        0 if current else _changed_at(_folder(home, task)),
    )


def _changed_at(folder: Path) -> int:
    return folder.stat().st_mtime_ns if folder.is_dir() else 0


def _folder(home: Home, task: Task) -> Path:
    return home.store / "members" / task.name


class Changes:
    """Recordings whose rows may differ from those of a view.

    Attributes:
        changed: content hashes, sorted.
        removed: content hashes that the task no longer has.

    Args:
        task: the task.
        home: where its recordings are stored.
        position: state of the task.
        state: position of the view.
        keys: returns the content hashes of the rows of the view.

    Raises:
        CorruptArtifact: A published snapshot is damaged.
    """

    def __init__(
        self,
        task: Task,
        home: Home,
        position: Position,
        state: Position,
        keys: Callable[[], Set[str]],
    ) -> None:
        self._task = task
        self._home = home
        self._decisions = DECISIONS.read(home, task.name)
        self._set = self._open(recordings, position.recordings, RecordingSet)
        self._results = self._open(evaluated, position.episodes, EvaluationSet)
        touched = self._touched(position, state)
        if touched is None:
            present = {path.stem for path in _folder(home, task).glob("*.json")}
            self.changed, self.removed = sorted(present), keys() - present
        else:
            present = {hash_ for hash_ in touched if is_member(home, task.name, hash_)}
            self.changed = sorted(present)
            self.removed = touched - present

    def _touched(self, position: Position, state: Position) -> Set[str] | None:
        """Return the recordings that the difference is about; None if the catalog cannot tell."""
        if state.recordings is None or position.recordings is None:
            return None
        entries = self._changed(recordings, state.recordings, position.recordings)
        results = self._changed(evaluated, state.episodes, position.episodes)
        if entries is None or results is None:
            return None
        decided = {item.recording for item in self._decisions[state.decisions :]}
        renewed = renewed_since(self._home, self._task.name, state.renewals)
        return entries | results | decided | renewed

    def _open(self, table: Table, set_: str | None, of: Callable[[Home, str, int], T]) -> T | None:
        """Return a set of the catalog; None if it does not have it."""
        change = self._change(table, set_)
        return None if change is None else of(self._home, self._task.name, change)

    def _change(self, table: Table, set_: str | None) -> int | None:
        return catalog.change_of(self._home, self._task.name, set_, table) if set_ else None

    def _changed(self, table: Table, earlier: str | None, now: str | None) -> Set[str] | None:
        """Return the recordings whose rows differ between two sets; None if it is not known."""
        if earlier == now:
            return frozenset()
        first = self._change(table, earlier)
        last = self._change(table, now)
        if first is None or last is None:
            return None
        return changed_between(self._home, self._task.name, table, first, last)

    def sources(self) -> Iterator[Source]:
        """Yield what is known about each changed recording, sorted by content hash."""
        decisions = {item.recording: item for item in self._decisions}
        current = {
            key: decision for key, decision in decisions.items() if decision.decision != "withdraw"
        }
        for start in range(0, len(self.changed), _RANGE):
            hashes = self.changed[start : start + _RANGE]
            entries = self._set.find_all(hashes) if self._set else {}
            results = self._results.find(hashes) if self._results else {}
            for hash_ in hashes:
                member = find_member(self._home, self._task.name, hash_)
                if member is None:  # forgotten meanwhile; the next update removes it
                    continue
                entry, (row, document) = entries.get(hash_), results.get(hash_, (None, ""))
                if row is None or entry is None or not _is_of(row, entry):
                    row = None
                    document = ""
                details = Details.parse(document, self._home.catalog_db) if row else None
                yield Source(member, entry, row, details, current.get(hash_))


def _is_of(row: Evaluation, entry: CatalogEntry) -> bool:
    """Return whether a result is that of an entry of the catalog."""
    return row.read == entry.ref.digest and row.released == entry.released
