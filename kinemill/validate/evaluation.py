"""Evaluate one recording: its row in the catalog, and the document that belongs to the row."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import polars as pl

from kinemill.catalog import CatalogEntry
from kinemill.catalog.evaluations import Evaluation, ListedEpisode, NewEvaluation
from kinemill.catalog.history import set_digest
from kinemill.ingest import Recording
from kinemill.ingest.raw import Reason
from kinemill.ingest.recordings import open_recording
from kinemill.parallel import in_groups
from kinemill.store import (
    Artifact,
    ArtifactRef,
    Json,
    Staged,
    canonical,
    digest,
    parse_document,
    peek,
    publish_staged,
    to_json_value,
)
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate import table
from kinemill.validate.action_responses import ActionProducts
from kinemill.validate.apply_checks import Measured
from kinemill.validate.duplicates.index import Sketched
from kinemill.validate.episodes import STAGE, RecordingResult, validate_recording, validated_inputs

NO_ARTIFACT = ArtifactRef("", "")  # of a recording without tracks


@dataclass(frozen=True)
class BrokenRule:
    """Accepted episodes of one recording that fail a check of accepted episodes.

    Attributes:
        failed: number of failures.
        failing: the first ones.
        error: why the check could not be made; empty if it was made.
    """

    failed: int
    failing: list[str | Json]
    error: str = ""


@dataclass(frozen=True)
class Details:
    """Details of an evaluated recording that its row does not hold.

    Attributes:
        reasons: findings of ingest and validation.
        dropped: dropped rows by check.
        findings: number of findings by check.
        measured: numbers of the checks, by track.
        products: products of actions and accelerations.
        statistics: standard deviation of each channel, `<channel>:std`, one value per episode.
        episodes: digest of the set of its episodes.
        broken: checks of accepted episodes that fail.
    """

    reasons: list[Reason]
    dropped: dict[str, int]
    findings: dict[str, int]
    measured: list[Measured]
    products: ActionProducts | None
    statistics: dict[str, list[float | None]]
    episodes: str
    broken: dict[str, BrokenRule] = field(default_factory=dict[str, BrokenRule])

    @classmethod
    def parse(cls, document: str, catalog: Path) -> "Details":
        """Return the details in a document of the catalog, whose file is named in errors.

        Raises:
            CorruptArtifact: A field is missing or has another type.
        """
        return parse_document(document.encode(), cls, catalog)

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return the number of findings and of dropped rows by the full name of the check."""
        counts = {
            f"physics_{check}": (count, self.dropped.get(check, 0))
            for check, count in self.findings.items()
        }
        return counts | {check: (rule.failed, 0) for check, rule in self.broken.items()}


@dataclass(frozen=True)
class NewResult:
    """A newly evaluated recording; `staged` is the artifact to publish, unless it was cached."""

    row: Evaluation
    details: Details
    result: RecordingResult
    staged: Staged | None = None

    @property
    def sketches(self) -> list[Sketched]:
        """Sketches for comparison with other recordings."""
        return _sketches(self.row.hash, self.row.name, self.result)

    def entry(self) -> NewEvaluation:
        """Return what the catalog stores."""
        document = canonical(to_json_value(self.details))
        return NewEvaluation(self.row, document, self.result.episodes, self.details.counts())


def evaluate_entries(
    task: Task,
    home: Home,
    task_rules: Json,
    entries: Sequence[CatalogEntry],
    report: Callable[[CatalogEntry, NewResult], None],
) -> list[NewResult]:
    """Evaluate recordings of the catalog, and publish the results in groups."""
    work = partial(_evaluate_entry, task, home, task_rules)
    evaluated = list[NewResult]()
    row = 8 * len(task.columns)  # bytes
    for group, results in in_groups(work, entries, lambda entry: row * entry.rows):
        new = list[NewResult]()
        for entry, result in zip(group, results, strict=True):
            new.append(result)
            report(entry, result)
        publish_staged(home, [result.staged for result in new if result.staged])
        evaluated += new
    return evaluated


def _evaluate_entry(task: Task, home: Home, task_rules: Json, entry: CatalogEntry) -> NewResult:
    return evaluate_recording(task, home, open_recording(home, entry), task_rules)


def evaluate_recording(task: Task, home: Home, recording: Recording, task_rules: Json) -> NewResult:
    """Evaluate a recording, or return the cached result.

    Without tracks nothing is evaluated. `task_rules` is `rules(task)`, computed once for all
    recordings.
    """
    artifact: Artifact | Staged | None = None
    if recording.summary.tracks:
        artifact = validate_recording(task, home, recording, task_rules)
    result = RecordingResult.of(artifact) if artifact else RecordingResult(recording.hash)
    row = Evaluation(
        recording.hash,
        recording.name,
        recording.ref.digest,
        artifact.ref if artifact else NO_ARTIFACT,
        recording.released,
        episodes=0,
        rows=0,
        dropped_rows=0,
        sketches=0,
        faulty=False,
        held_back=recording.summary.dropped_rows > 0,
    )
    staged = artifact if isinstance(artifact, Staged) else None
    return _describe(task, row, recording.summary.reasons, result, staged)


def _describe(
    task: Task,
    row: Evaluation,
    reasons: list[Reason],
    result: RecordingResult,
    staged: Staged | None,
) -> NewResult:
    """Return a result with the numbers of its row, and its details; `reasons` are of ingest."""
    lost = sum(result.dropped.values())
    row = replace(
        row,
        episodes=len(result.episodes),
        rows=sum(episode.rows for episode in result.episodes),
        dropped_rows=lost,
        sketches=len(result.sketches),
        faulty=bool(reasons or result.reasons),
        held_back=bool(row.held_back or lost or not result.episodes),
    )
    details = Details(
        [*reasons, *result.reasons],
        result.dropped,
        result.findings,
        result.measured,
        result.products,
        _statistics(task, result),
        set_digest(bytes.fromhex(digest(asdict(reason))) for reason in listed(row, result)),
    )
    return NewResult(row, details, result, staged)


def drop_episodes(task: Task, new: NewResult, failed: Mapping[str, Sequence[Reason]]) -> NewResult:
    """Return a result without the episodes that fail expectations: id -> reasons."""
    result = new.result
    ingest_reasons = new.details.reasons[: len(new.details.reasons) - len(result.reasons)]
    indices = [index for index, episode in enumerate(result.episodes) if episode.id not in failed]
    dropped = Counter(result.dropped)
    for episode in result.episodes:
        if reasons := failed.get(episode.id):
            dropped[str(reasons[0]["check"])] += episode.rows
    episodes = [result.episodes[index] for index in indices]
    parts = {episode.part for episode in episodes}
    remaining = replace(
        result,
        quarantined=not episodes,
        episodes=episodes,
        dropped_rows=sum(dropped.values()),
        dropped=dict(sorted(dropped.items())),
        reasons=[*result.reasons, *(reason for listed in failed.values() for reason in listed)],
        sketches=[sketch for sketch in result.sketches if sketch.part in parts],
        products=result.products if episodes else None,
        table={name: [column[index] for index in indices] for name, column in result.table.items()},
    )
    return _describe(task, new.row, ingest_reasons, remaining, new.staged)


def _statistics(task: Task, result: RecordingResult) -> dict[str, list[float | None]]:
    if not result.episodes:
        return {}
    names = [f"{channel}:std" for channel in task.columns]
    return {
        name: [value if isinstance(value, float) else None for value in result.table[name]]
        for name in names
    }


def listed(row: Evaluation, result: RecordingResult) -> list[ListedEpisode]:
    """Return the accepted episodes of a recording as a dataset lists them."""
    return [
        ListedEpisode(
            episode.id, row.hash, row.name, episode.rows, row.ref, episode.file, episode.part
        )
        for episode in result.episodes
    ]


def rows_of(task: Task, evaluated: list[NewResult]) -> pl.DataFrame:
    """Return one row per episode of newly evaluated recordings."""
    columns: dict[str, list[str | float | None]] = {name: [] for name in table.columns_of(task)}
    for evaluation in evaluated:
        for name, values in evaluation.result.table.items():
            columns[name] += values
    return pl.DataFrame(columns, schema=table.empty(task).schema)


def stored_sketches(
    task: Task, home: Home, entry: CatalogEntry, task_rules: Json
) -> list[Sketched]:
    """Return the sketches of a recording if it was evaluated by these rules; none otherwise."""
    key = digest(validated_inputs(entry, task_rules))
    artifact = peek(home, STAGE, task.name, key) if entry.tracks else None
    return _sketches(entry.hash, entry.name, RecordingResult.of(artifact)) if artifact else []


def _sketches(hash_: str, name: str, result: RecordingResult) -> list[Sketched]:
    return [
        Sketched(
            hash_, f"{name}/{sketch.part}" if sketch.part else name, sketch.sketch, sketch.part
        )
        for sketch in result.sketches
    ]
