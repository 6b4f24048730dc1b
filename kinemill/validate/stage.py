"""Validation stage: evaluate each recording, enter the results in the catalog, publish the report.

Only recordings that changed since the last validation are evaluated. If the rules have changed, or
the index is lost, every recording is looked at; unchanged results are then found in the store. The
results are entered first, then the artifact that names them is published, so a process that is
killed in between leaves results that the next validation finds.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kinemill.catalog import CatalogEntry, open_connections
from kinemill.catalog.evaluations import Evaluation, ListedEpisode, last_set, read_head
from kinemill.catalog.history import Head, batches
from kinemill.errors import CorruptArtifact
from kinemill.ingest.snapshot import Snapshot
from kinemill.store import (
    Artifact,
    ArtifactRef,
    Json,
    Staged,
    open_ref,
    publish_staged,
    stage_artifact,
    to_json_value,
    write_document,
)
from kinemill.store.atomic_write import settle
from kinemill.store.fault_injection import fault_point
from kinemill.store.home import Home
from kinemill.store.locks import lock
from kinemill.task import NullReporter, Progress, Task
from kinemill.validate.accepted_episodes import AcceptedEpisodes
from kinemill.validate.check_results import CheckResult
from kinemill.validate.checkpoint import check_rows
from kinemill.validate.duplicates.index import Sketched
from kinemill.validate.duplicates.registry import (
    DuplicatePairs,
    find_pairs,
    register_duplicates,
    restore_duplicates,
)
from kinemill.validate.episodes import rules
from kinemill.validate.evaluation import NewResult, evaluate_entries, stored_sketches
from kinemill.validate.expectations import suite_digest
from kinemill.validate.published import (
    EPISODES,
    STAGE,
    VERSION,
    EpisodesDocument,
    find_previous,
    inputs,
    is_indexed,
    made_by,
    open_results,
    read_episodes,
    rules_digest,
    stage_pointer,
)
from kinemill.validate.results import Results, Update
from kinemill.validate.summary import describe, read_checks
from kinemill.validate.totals import Item

BATCH = 4096  # recordings whose results are in memory

__all__ = ["VERSION", "inputs", "list_episodes", "load_checks", "load_episodes", "run"]


def run(
    task: Task, home: Home, recordings: ArtifactRef, progress: Progress | None = None
) -> Artifact:
    """Evaluate every new recording, and publish the accepted episodes.

    The artifact is published even if a blocking check fails, since it holds the report with the
    reason. The caller decides by `load_checks`.

    Args:
        task: channels, limits and the `validate` part.
        home: where results are stored.
        recordings: snapshot of recordings, published by ingest.
        progress: called after every evaluated recording.

    Returns:
        The published episodes, checks and report page; cached if nothing has changed.
    """
    progress = progress or NullReporter()
    if cached := _find_cached(task, home, recordings):
        return cached
    # A second validation blocks here, reports the lock holder, then reads the cached result.
    with lock(home, f"validate-{task.name}", progress.log_message), open_connections(home):
        if cached := _find_cached(task, home, recordings):
            return cached
        previous = find_previous(task, home)
        validating = _Validation(task, home, Snapshot(home, recordings), progress)
        try:
            artifact = validating.run(is_known=is_indexed(home, task.name))
        except CorruptArtifact:
            if previous is None:
                raise
            artifact = validating.run(is_known=False)  # which rebuilds damaged artifacts
        fault_point("validate.published")
    return artifact


def _find_cached(task: Task, home: Home, recordings: ArtifactRef) -> Artifact | None:
    """Return the last published episodes if they are those of a snapshot by the present rules."""
    previous = find_previous(task, home)
    if previous and read_episodes(home, previous.ref).recordings == recordings.digest:
        return previous
    return None


def load_episodes(
    home: Home, ref: ArtifactRef, hashes: Iterable[str] | None = None
) -> AcceptedEpisodes:
    """Return the accepted episodes; the bytes of each are verified when they are read.

    `hashes` are the content hashes of their recordings; default: all.
    """
    return AcceptedEpisodes.of_catalog(home, open_results(home, ref).episodes(hashes))


def list_episodes(home: Home, ref: ArtifactRef) -> Iterator[ListedEpisode]:
    """Yield the accepted episodes, sorted by id."""
    return open_results(home, ref).episodes()


def load_checks(home: Home, ref: ArtifactRef) -> list[CheckResult]:
    """Return the results of every check, blocking ones first."""
    return read_checks(open_ref(home, ref))


@dataclass(frozen=True)
class _Batch:
    """Recordings to evaluate, and the content hashes of results that are no longer current."""

    entries: list[CatalogEntry] = field(default_factory=list[CatalogEntry])
    removed: list[str] = field(default_factory=list[str])


class _Validation:
    """One validation of a task's recordings, under the lock of the task."""

    def __init__(self, task: Task, home: Home, snapshot: Snapshot, progress: Progress) -> None:
        self._task = task
        self._home = home
        self._progress = progress
        self._snapshot, self._rules = snapshot, rules(task)
        self._suite = suite_digest(home, task.name)
        self._done = self._total = 0

    def run(self, *, is_known: bool) -> Artifact:
        """Evaluate the new recordings of the snapshot, and publish.

        `is_known` states whether results of the same rules in the catalog are still trusted.
        """
        by = rules_digest(self._task, self._suite)
        head = read_head(self._home, self._task.name) or Head()
        is_known = is_known and head.rules == by
        results = Results(self._task, self._home)
        update: Update | None = None
        is_restored = not is_known and self._restore_duplicates()
        for batch in self._batches(head, is_known=is_known):
            if update is not None:
                results.enter(update, head.rules if is_known else "")
            new = check_rows(self._task, self._home, self._evaluate(batch.entries))
            # Sequentially: concurrent calls would only compete for the GIL.
            sketches = (
                s for result in new if result.staged or not is_restored for s in result.sketches
            )
            register_duplicates(self._task, self._home, sketches, batch.removed)
            update = Update(new, batch.removed)
        sample = results.complete(update or Update(), by, self._snapshot.set)
        return self._publish(results, sample, find_pairs(self._task, self._home))

    def _batches(self, head: Head, *, is_known: bool) -> Iterator[_Batch]:
        """Yield what differs from the last validation, so that the results fit into memory."""
        last = head.document.get("recordings", "")
        hashes = self._snapshot.changed_since(last) if is_known and last else None
        if hashes is None:
            yield from self._compared(is_known=is_known)
            return
        self._total = len(hashes)
        for batch in batches(sorted(hashes), BATCH):
            entries = self._snapshot.find_all(batch)
            yield _Batch([*entries.values()], [entry for entry in batch if entry not in entries])

    def _compared(self, *, is_known: bool) -> Iterator[_Batch]:
        """Yield what differs from the results in the catalog, comparing every recording."""
        self._total, results = len(self._snapshot), last_set(self._home, self._task.name)
        previous = ""
        for batch in batches(self._snapshot, BATCH):
            present = {entry.hash: entry for entry in results.between(previous, batch[-1].hash)}
            previous = batch[-1].hash
            entries = [e for e in batch if not (is_known and _is_of(present.get(e.hash), e))]
            removed = [*(present.keys() - {entry.hash for entry in batch})]
            self._done += len(batch) - len(entries)
            yield _Batch(entries, sorted(removed))
        if rest := [entry.hash for entry in results.between(previous, "g")]:
            yield _Batch(removed=rest)

    def _evaluate(self, entries: Sequence[CatalogEntry]) -> list[NewResult]:
        """Evaluate recordings, and report each."""

        def report(entry: CatalogEntry, result: NewResult) -> None:
            self._done += 1
            message = f"{entry.name}: {result.row.episodes} episodes"
            self._progress.advance("validate", self._done, self._total, message)

        return evaluate_entries(self._task, self._home, self._rules, entries, report)

    def _restore_duplicates(self) -> bool:
        """Fill a lost index of near-duplicates; return whether it was filled."""

        def evaluated() -> Iterator[Sketched]:
            for entry in self._snapshot:
                yield from stored_sketches(self._task, self._home, entry, self._rules)

        return restore_duplicates(self._task, self._home, evaluated)

    def _publish(
        self, results: Results, sample: Sequence[Item], duplicates: DuplicatePairs
    ) -> Artifact:
        """Publish the artifact that names the results, and the pointer to it."""
        home = self._home
        task = self._task
        recordings = self._snapshot.artifact.ref

        def build(folder: Path) -> Json:
            document = EpisodesDocument(recordings.digest, results.head.set)
            write_document(folder / EPISODES, document)
            return to_json_value(describe(task, folder, results, sample, duplicates))

        made = stage_artifact(home, STAGE, task.name, inputs(task, recordings, self._suite), build)
        move = stage_pointer(home, task.name, made_by(task, self._suite), made.ref)
        try:
            if isinstance(made, Staged):
                return publish_staged(home, [made], after=[move])[0]
            settle([move])
            return made
        finally:
            move.aside.unlink(missing_ok=True)


def _is_of(row: Evaluation | None, entry: CatalogEntry) -> bool:
    """Return whether a result is that of an entry of the catalog."""
    return row is not None and (row.read, row.released) == (entry.ref.digest, entry.released)
