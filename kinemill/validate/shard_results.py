"""Results of the evaluated recordings of one shard, and their summary.

`recordings.json` lists the recordings with their episodes and reasons, `table.parquet` has one row
per accepted episode. The summary can be merged with those of other shards.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from kinemill.ingest import Recording
from kinemill.ingest.raw import Reason
from kinemill.store import (
    Artifact,
    ArtifactRef,
    Json,
    Staged,
    digest,
    from_json_value,
    open_ref,
    read_document,
    summary_of,
    to_json_value,
    write_listed,
)
from kinemill.store.home import Home
from kinemill.store.shards import set_digest
from kinemill.store.transaction import GetOrBuild
from kinemill.task import Task
from kinemill.validate import (
    action_responses,
    measures,
    merge,
    ranges,
    report_samples,
    table,
    unit_outliers,
)
from kinemill.validate.action_responses import ActionProducts
from kinemill.validate.check_results import (
    MAX_LISTED,
    CheckResult,
    physical_names,
    planned_checks,
    sound_rows,
)
from kinemill.validate.duplicates.index import Sketched
from kinemill.validate.episodes import EpisodeFile, RecordingResult, validate_recording
from kinemill.validate.measures import Measured
from kinemill.validate.report_samples import RecordingSample, TrackStrip

SHARD, VERSION = "episodes_shard", 5
EVALUATED, TABLE = "recordings.json", "table.parquet"
ID = 16  # characters of a recording's hash at the beginning of its episode ids


@dataclass(frozen=True)
class EpisodeEntry:
    """An accepted episode as a dataset lists it; `ref` is the artifact with its file."""

    id: str
    recording: str
    name: str
    rows: int
    ref: ArtifactRef
    file: str
    part: str = ""


@dataclass(frozen=True)
class EvaluatedRecording:
    """A recording of a shard.

    Attributes:
        recording: content hash.
        name: name of the log.
        read: digest of the ingested recording.
        ref: artifact with its episodes; None for a recording without tracks.
        episodes: accepted episodes.
        reasons: findings of ingest and validation.
        dropped: dropped rows by check.
        findings: number of findings by check.
        measured: numbers of the checks, by track.
        strip: tracks for the report.
        products: products of actions and accelerations.
        sketches: number of sketches.
        held_back: whether some of its rows are not accepted.
        released: whether a user released it from quarantine.
    """

    recording: str
    name: str
    read: str
    ref: ArtifactRef | None
    episodes: list[EpisodeFile]
    reasons: list[Reason]
    dropped: dict[str, int]
    findings: dict[str, int]
    measured: list[Measured]
    strip: list[TrackStrip]
    products: ActionProducts | None
    sketches: int
    held_back: bool
    released: bool

    def entries(self) -> Iterator[EpisodeEntry]:
        """Yield the accepted episodes as a dataset lists them."""
        for one in self.episodes:
            if self.ref:
                about = (one.id, self.recording, self.name, one.rows, self.ref)
                yield EpisodeEntry(*about, one.file, one.part)


@dataclass(frozen=True)
class Shard:
    """The evaluated recordings of a shard, sorted by hash, and one row per episode."""

    recordings: list[EvaluatedRecording]
    table: pl.DataFrame

    @property
    def schema_rows(self) -> pl.DataFrame:
        """The rows for the schema check: without recordings that a user released."""
        released = [item.recording[:ID] for item in self.recordings if item.released]
        if not released:
            return self.table
        return self.table.filter(pl.col("episode").str.head(ID).is_in(released).not_())


@dataclass(frozen=True)
class NewResult:
    """A newly evaluated recording: its entry in the shard, and its result.

    `staged` is the artifact to publish, unless it was cached.
    """

    item: EvaluatedRecording
    result: RecordingResult
    staged: Staged | None = None

    @property
    def sketches(self) -> list[Sketched]:
        """Sketches for comparison with other recordings."""
        return _sketches(self.item, self.result)


def rows_of(task: Task, evaluated: Iterable[NewResult]) -> pl.DataFrame:
    """Return one row per episode of newly evaluated recordings."""
    columns: dict[str, list[str | float | None]] = {name: [] for name in table.columns_of(task)}
    for each in evaluated:
        for name, values in each.result.table.items():
            columns[name] += values
    return pl.DataFrame(columns, schema=table.empty(task).schema)


def evaluate_recording(task: Task, home: Home, recording: Recording, task_rules: Json) -> NewResult:
    """Evaluate a recording, or return the cached result.

    Args:
        task: checks and fault handling.
        home: where results are stored.
        recording: any recording; without tracks nothing is evaluated.
        task_rules: `rules(task)`, computed once for all recordings.
    """
    artifact: Artifact | Staged | None = None
    if recording.summary.tracks:
        artifact = validate_recording(task, home, recording, task_rules)
    result = RecordingResult.of(artifact) if artifact else RecordingResult(recording.hash)
    lost = recording.summary.dropped_rows + sum(result.dropped.values())
    item = EvaluatedRecording(
        recording=recording.hash,
        name=recording.name,
        read=recording.ref.digest,
        ref=artifact.ref if artifact else None,
        episodes=result.episodes,
        reasons=[*recording.summary.reasons, *result.reasons],
        dropped=result.dropped,
        findings=result.findings,
        measured=result.measured,
        strip=result.strip,
        products=result.products,
        sketches=len(result.sketches),
        held_back=bool(lost or not result.episodes),
        released=recording.released,
    )
    return NewResult(item, result, artifact if isinstance(artifact, Staged) else None)


def sketches_of(home: Home, item: EvaluatedRecording) -> list[Sketched]:
    """Return the sketches of a recording that was evaluated before.

    Raises:
        CorruptArtifact: Its artifact is damaged.
    """
    if not item.sketches or item.ref is None:
        return []
    path = home.root / item.ref.path
    return _sketches(item, from_json_value(summary_of(home, item.ref), RecordingResult, path))


def _sketches(item: EvaluatedRecording, result: RecordingResult) -> list[Sketched]:
    return [
        Sketched(
            item.recording,
            f"{item.name}/{each.part}" if each.part else item.name,
            each.sketch,
            each.part,
        )
        for each in result.sketches
    ]


def open_shard(home: Home, ref: ArtifactRef) -> Shard:
    """Return a published shard.

    Raises:
        CorruptArtifact: The shard is damaged.
    """
    folder = open_ref(home, ref)
    recordings = read_document(folder / EVALUATED, list[EvaluatedRecording])
    return Shard(recordings, pl.read_parquet(folder / TABLE, glob=False))


def read_evaluated(home: Home, ref: ArtifactRef) -> list[EvaluatedRecording]:
    """Return the evaluated recordings of a published shard.

    Raises:
        CorruptArtifact: The shard is damaged.
    """
    return read_document(open_ref(home, ref) / EVALUATED, list[EvaluatedRecording])


def make_shard(
    get_or_build: GetOrBuild,
    task: Task,
    inputs: Json,
    shard: Shard,
    schema: list[CheckResult],
    *,
    cut: bool,
) -> Artifact:
    """Publish a shard with its summary.

    Args:
        get_or_build: publishes the artifact, now or later.
        task: its channels and checks.
        inputs: everything the shard depends on.
        shard: the evaluated recordings.
        schema: Great Expectations results of its episodes; empty if it has none.
        cut: whether it is one of several shards.
    """

    def build(folder: Path) -> Json:
        write_listed(folder / EVALUATED, [to_json_value(item) for item in shard.recordings])
        shard.table.write_parquet(folder / TABLE, compression="lz4")
        summary = _summarize(task, shard, schema)
        return to_json_value(merge.bounded(summary) if cut else summary)

    return get_or_build(SHARD, task.name, {**inputs, "version": VERSION}, build)


def _summarize(task: Task, shard: Shard, schema: list[CheckResult]) -> merge.PartSummary:
    listed, rows = shard.recordings, shard.table
    dropped: Counter[str] = Counter()
    for item in listed:
        dropped.update(item.dropped)
    names = {episode.id: item.name for item in listed for episode in item.episodes}
    checks = [*(sound_rows(task, rows) if rows.height else []), *schema, *_physics(task, listed)]
    quarantined = [item.name for item in listed if not item.episodes]
    entries = (to_json_value(entry) for item in listed for entry in item.entries())
    return merge.PartSummary(
        accepted=rows.height,
        recordings=len(listed),
        quarantined=len(quarantined),
        faulty=sum(bool(item.reasons) for item in listed),
        held_back=sum(item.held_back for item in listed),
        rows=sum(episode.rows for item in listed for episode in item.episodes),
        sketches=sum(item.sketches for item in listed),
        dropped=dict(sorted(dropped.items())),
        failing=sorted(quarantined)[:MAX_LISTED],
        checks=checks,
        measured=measures.gather(track for item in listed for track in item.measured),
        unit_stds=unit_outliers.unit_stds(rows, names, task),
        responses=action_responses.gather({item.name: item.products for item in listed}),
        ranges=ranges.ranges(rows, task),
        samples=report_samples.gather(
            RecordingSample(
                item.recording, item.name, item.reasons, 0, len(item.episodes), item.strip
            )
            for item in listed
        ),
        digest=set_digest(bytes.fromhex(digest(entry)) for entry in entries),
    )


def _physics(task: Task, listed: list[EvaluatedRecording]) -> list[CheckResult]:
    """Return for each physical check its number of findings, recordings and dropped rows."""
    plans = planned_checks(task)
    results = {
        name: plans[f"physics_{name}"].make_result(
            True, {"faults": 0, "rows": 0, "recordings": 0, "failing": []}
        )
        for name in physical_names(task)
    }
    for item in listed:
        for name, count in item.findings.items():
            results[name] = _add(results[name], item, name, count)
    return list(results.values())


def _add(result: CheckResult, item: EvaluatedRecording, name: str, count: int) -> CheckResult:
    reasons = [
        {"recording": item.name, **reason} for reason in item.reasons if reason["check"] == name
    ]
    values = {
        "faults": result.values["faults"] + count,
        "rows": result.values["rows"] + item.dropped.get(name, 0),
        "recordings": result.values["recordings"] + 1,
        "failing": [*result.values["failing"], *reasons][:MAX_LISTED],
    }
    return replace(result, passed=False, values=values)
