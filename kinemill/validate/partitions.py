"""Partitions of a task's episodes: counts of each, and the validation of one partition alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from kinemill.catalog import CatalogEntry
from kinemill.catalog.evaluations import Evaluation
from kinemill.ingest.partitions import PartitionCounts, by_partition
from kinemill.ingest.snapshot import Snapshot
from kinemill.store import (
    Artifact,
    ArtifactRef,
    Json,
    digest,
    get_or_build,
    to_json_value,
    write_document,
)
from kinemill.store.home import Home
from kinemill.task import NullReporter, Progress, Task
from kinemill.validate.episodes import rules
from kinemill.validate.evaluation import NewResult, evaluate_entries
from kinemill.validate.published import open_results
from kinemill.validate.report import QuarantinedRecording
from kinemill.validate.summary import QUARANTINE

STAGE = "episodes_partition"
VERSION = 1
_LISTED = 50  # quarantined recordings


@dataclass(frozen=True, kw_only=True)
class PartitionEpisodes(PartitionCounts):
    """Counts of one partition's episodes."""

    accepted: int


def episodes_by_partition(task: Task, home: Home, episodes: ArtifactRef) -> list[PartitionEpisodes]:
    """Return the counts of every partition of published episodes, sorted by key.

    Raises:
        BadInput: there are more partitions than Dagster shows.
        CorruptArtifact: the episodes are damaged.
    """
    items = by_partition(task, home, open_results(home, episodes))
    return [_count(key, group) for key, group in items.items()]


def validate_partition(
    task: Task, home: Home, key: str, recordings: ArtifactRef, progress: Progress | None = None
) -> tuple[Artifact, PartitionEpisodes]:
    """Evaluate the recordings of one partition; the next validation of all finds them cached.

    It returns an artifact with the partition's quarantined recordings, and its counts.
    """
    entries = list(Snapshot(home, recordings))
    done = count(1)
    reporter = progress or NullReporter()

    def report(entry: CatalogEntry, result: NewResult) -> None:
        del result
        reporter.advance("validate", next(done), len(entries), entry.name)

    items = evaluate_entries(task, home, rules(task), entries, report)
    counts = _count(key, (item.row for item in items))

    def build(folder: Path) -> Json:
        quarantined = [
            QuarantinedRecording(item.row.hash, item.row.name, item.details.reasons, 0)
            for item in items
            if not item.row.episodes
        ]
        write_document(folder / QUARANTINE, quarantined[:_LISTED])
        return to_json_value(counts)

    inputs = {"partition": key, "evaluated": counts.digest, "version": VERSION}
    return get_or_build(home, STAGE, task.name, inputs, build), counts


def _count(key: str, rows: Iterable[Evaluation]) -> PartitionEpisodes:
    listed = sorted(rows, key=lambda row: row.hash)
    return PartitionEpisodes(
        key=key,
        recordings=len(listed),
        accepted=sum(row.episodes for row in listed),
        quarantined=sum(not row.episodes for row in listed),
        rows=sum(row.rows for row in listed),
        dropped_rows=sum(row.dropped_rows for row in listed),
        digest=digest([[row.read, row.ref.digest or None] for row in listed]),
    )
