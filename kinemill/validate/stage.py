"""Validation stage: check each recording, store the results in shards, check across recordings.

An unchanged shard of recordings is not read, and in a changed shard only new recordings are
evaluated. So a new recording costs its own evaluation and the writing of one shard, whatever the
number of recordings.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path

import polars as pl

from kinemill.catalog import CatalogEntry
from kinemill.errors import CorruptArtifact
from kinemill.ingest.recordings import open_recording
from kinemill.ingest.snapshot import Snapshot
from kinemill.parallel import in_groups
from kinemill.store import (
    Artifact,
    ArtifactRef,
    Json,
    open_ref,
    publish_staged,
)
from kinemill.store.atomic_write import Move
from kinemill.store.fault_injection import fault_point
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.protocols import NullReporter, Progress
from kinemill.validate import merge
from kinemill.validate.check_results import CheckResult
from kinemill.validate.duplicates.index import Sketched
from kinemill.validate.duplicates.registry import DuplicatePairs, register_duplicates
from kinemill.validate.episodes import Episode, rules
from kinemill.validate.previous_snapshot import (
    VERSION,
    PreviousResults,
    PreviousSnapshot,
    find_previous,
    inputs,
    made_by,
    shards_of,
    stage_pointer,
)
from kinemill.validate.publish import Publisher, ShardChecks
from kinemill.validate.shard_results import (
    EpisodeEntry,
    NewResult,
    Shard,
    evaluate_recording,
    open_shard,
    read_evaluated,
    rows_of,
    sketches_of,
)
from kinemill.validate.summary import read_checks

BATCH = 4096  # recordings whose results are in memory

__all__ = [
    "VERSION",
    "inputs",
    "list_episodes",
    "load_checks",
    "load_episodes",
    "load_table",
    "run",
]


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
    by = made_by(task)
    previous = find_previous(home, task.name, by)
    if previous and previous.recordings == recordings.digest:
        return previous.artifact
    validating = _Validation(task, home, progress or NullReporter(), by)
    try:
        artifact = validating.run(recordings, previous)
    except CorruptArtifact:
        if previous is None:
            raise
        artifact = validating.run(recordings, None)  # which rebuilds damaged artifacts
    fault_point("validate.published")
    return artifact


def load_episodes(home: Home, ref: ArtifactRef) -> list[Episode]:
    """Return the accepted episodes; the bytes of each are verified when they are read."""

    @cache  # episodes of one recording share a folder
    def opened(where: ArtifactRef) -> Path:
        return open_ref(home, where)

    return [
        Episode(
            one.id,
            one.recording,
            one.name,
            one.rows,
            one.file,
            partial(opened, one.ref),
            one.ref.digest,
            one.part,
        )
        for one in list_episodes(home, ref)
    ]


def list_episodes(home: Home, ref: ArtifactRef) -> Iterator[EpisodeEntry]:
    """Yield the accepted episodes, sorted by id, reading one shard after the other."""
    for shard in shards_of(home, ref):
        for item in read_evaluated(home, shard):
            yield from item.entries()


def load_table(home: Home, ref: ArtifactRef) -> pl.DataFrame:
    """Return one row per accepted episode, with the columns of `kinemill.validate.table`."""
    return pl.concat([open_shard(home, shard).table for shard in shards_of(home, ref)])


def load_checks(home: Home, ref: ArtifactRef) -> list[CheckResult]:
    """Return the results of every check, blocking ones first."""
    return read_checks(open_ref(home, ref))


def _batches(
    shards: Mapping[str, list[CatalogEntry]],
) -> Iterator[dict[str, list[CatalogEntry]]]:
    """Yield shards of recordings, sized so that their results fit into memory."""
    batch: dict[str, list[CatalogEntry]] = {}
    for name in sorted(shards):
        batch[name] = shards[name]
        if sum(len(each) for each in batch.values()) >= BATCH:
            yield batch
            batch = {}
    if batch:
        yield batch


def _evaluate_entry(task: Task, home: Home, task_rules: Json, entry: CatalogEntry) -> NewResult:
    return evaluate_recording(task, home, open_recording(home, entry), task_rules)


class _Validation:
    """One validation of a task's recordings."""

    def __init__(self, task: Task, home: Home, progress: Progress, by: str) -> None:
        self._task, self._home, self._progress, self._by = task, home, progress, by
        self._rules = rules(task)

    def run(self, recordings: ArtifactRef, previous: PreviousSnapshot | None) -> Artifact:
        """Evaluate the new recordings of the snapshot, and publish."""
        snapshot = Snapshot(self._home, recordings)
        old = PreviousResults(self._home, previous, snapshot)
        entries = (entry for each in old.changed.values() for entry in each)
        self._remaining = self._total = sum(old.find(entry) is None for entry in entries)
        duplicates: DuplicatePairs | None = None
        publisher = Publisher(self._task, self._home, snapshot)
        published: dict[str, Json | None] = dict.fromkeys(old.removed_shards)
        pending: dict[str, ShardChecks] = {}  # in one batch, the last
        for batch in _batches(old.changed):
            new = [entry for each in batch.values() for entry in each if old.find(entry) is None]
            evaluated = self._evaluate(new)
            shards = {name: self._shard(each, evaluated, old) for name, each in batch.items()}
            tables = {name: shard.schema_rows for name, shard in shards.items()}
            tables = {name: rows for name, rows in tables.items() if not rows.is_empty()}
            # Sequentially: concurrent calls would only compete for the GIL.
            duplicates = self._register_duplicates(evaluated.values(), previous, old)
            schema = merge.schema_of(self._task, tables)
            published |= publisher.shards(pending)
            pending = {name: (shard, schema.get(name, [])) for name, shard in shards.items()}
        duplicates = duplicates or self._register_duplicates([], previous, old)

        def after(artifact: Artifact) -> list[Move]:
            return [stage_pointer(self._home, self._task.name, self._by, artifact)]

        return publisher.everything(old.tree, published, pending, duplicates, after)

    def _evaluate(self, entries: list[CatalogEntry]) -> dict[str, NewResult]:
        """Evaluate recordings, and publish the results in groups."""
        work = partial(_evaluate_entry, self._task, self._home, self._rules)
        columns = len(self._task.columns)
        evaluated: dict[str, NewResult] = {}
        for group, each in in_groups(work, entries, lambda entry: 8 * columns * entry.rows):
            group_results = list[NewResult]()
            for entry, one in zip(group, each, strict=True):
                group_results.append(one)
                self._remaining -= 1
                message = f"{entry.name}: {len(one.item.episodes)} episodes"
                done = self._total - self._remaining
                self._progress.advance("validate", done, self._total, message)
            publish_staged(self._home, [one.staged for one in group_results if one.staged])
            evaluated |= {entry.hash: one for entry, one in zip(group, group_results, strict=True)}
        return evaluated

    def _shard(
        self,
        entries: list[CatalogEntry],
        evaluated: Mapping[str, NewResult],
        old: PreviousResults,
    ) -> Shard:
        cached = {one.hash: item for one in entries if (item := old.find(one))}
        new = [evaluated[one.hash] for one in entries if one.hash in evaluated]
        items = cached | {one.item.recording: one.item for one in new}
        rows = pl.concat([old.rows(self._task, cached.values()), rows_of(self._task, new)])
        return Shard([items[one.hash] for one in entries], rows.sort("episode"))

    def _register_duplicates(
        self,
        evaluated: Iterable[NewResult],
        previous: PreviousSnapshot | None,
        old: PreviousResults,
    ) -> DuplicatePairs:
        """Register which of the new recordings are near-duplicates."""
        new = [sketched for item in evaluated for sketched in item.sketches]

        def registered() -> Iterator[Sketched]:
            for shard in shards_of(self._home, previous.artifact.ref) if previous else ():
                for item in read_evaluated(self._home, shard):
                    if item.recording not in old.removed:
                        yield from sketches_of(self._home, item)

        return register_duplicates(
            self._task, self._home, new, registered, total=old.sketches, removed=old.removed
        )
