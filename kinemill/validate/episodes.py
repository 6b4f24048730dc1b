"""Validated episodes of one recording, evaluated and published once."""

import errno
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path

import polars as pl

from kinemill.catalog import CatalogEntry
from kinemill.catalog.evaluations import EpisodeRow
from kinemill.errors import spell_failure
from kinemill.ingest import Recording
from kinemill.ingest.media import refer_to_recording
from kinemill.ingest.raw import Reason, reason
from kinemill.ingest.recording_summary import TrackFile
from kinemill.ingest.rows import SUFFIX, read_rows, write_rows
from kinemill.store import Artifact, Json, Staged, StoredSummary, stage_artifact, to_json_value
from kinemill.store.digests import link
from kinemill.store.disk_space import is_fault_of_content
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate import action_responses, table
from kinemill.validate.action_responses import ActionProducts
from kinemill.validate.apply_checks import (
    Finding,
    Measured,
    apply_checks_to_track,
    drop_nonfinite_aux,
    skip_checks,
)
from kinemill.validate.duplicates.similarity import Sketch, sketch
from kinemill.validate.expectations import Bound, bounds_of
from kinemill.validate.faults import Track

STAGE = "validated"
VERSION = 15
SCHEMA = "schema"  # check of one episode against the bounds of all accepted episodes
MAX_REASONS = 20  # listed reasons per check and recording; the rest are counted


@dataclass(frozen=True)
class Episode:
    """One accepted episode: continuous rows at the task's dt, without faults.

    Its bytes are verified against their digest on access.
    """

    id: str
    recording: str
    name: str
    rows: int
    file: str
    folder: Callable[[], Path] = field(compare=False, repr=False)
    artifact: str  # digest of the artifact that holds its rows
    part: str = ""  # of its recording, if that has several

    @property
    def path(self) -> Path:
        """File with its rows.

        Raises:
            CorruptArtifact: The file is damaged.
        """
        return self.folder() / self.file

    def read(self) -> pl.DataFrame:
        """Read `time_s` (s since the recording's first stamp) and the task's columns."""
        return read_rows(self.path)


@dataclass(frozen=True)
class PartSketch:
    """Sketch of one part of a recording, for the search for near-duplicates."""

    part: str
    sketch: Sketch


@dataclass(frozen=True)
class RecordingResult(StoredSummary):
    """Result of one recording: the summary of the stage `validated`.

    Attributes:
        hash: content hash of the recording.
        quarantined: whether no episode was accepted.
        episodes: accepted episodes.
        dropped: dropped rows by the check that dropped them.
        findings: number of findings by check.
        reasons: the first findings of each check.
        measured: numbers of the checks, by track.
        sketches: sketches by part.
        products: products of actions and accelerations of the longest episode.
        table: one value per episode for each column of `kinemill.validate.table`.
    """

    hash: str
    quarantined: bool = True
    episodes: list[EpisodeRow] = field(default_factory=list[EpisodeRow])
    dropped_rows: int = 0
    dropped: dict[str, int] = field(default_factory=dict[str, int])
    findings: dict[str, int] = field(default_factory=dict[str, int])
    reasons: list[Reason] = field(default_factory=list[Reason])
    measured: list[Measured] = field(default_factory=list[Measured])
    sketches: list[PartSketch] = field(default_factory=list[PartSketch])
    products: ActionProducts | None = None
    table: dict[str, list[str | float | None]] = field(
        default_factory=dict[str, list[str | float | None]]
    )


def rules(task: Task) -> Json:
    """Return the part of the task that determines the result of a recording."""
    part = task.part("dt", "validate", "channels")
    del part["validate"]["max_quarantined_share"]
    part["validate"].pop("expectations", None)  # applied to stored results by `row_checks`
    for channel in part["channels"].values():
        del channel["source"]
    return {"version": VERSION, **part}


def validate_recording(
    task: Task, home: Home, recording: Recording, task_rules: Json
) -> Artifact | Staged:
    """Evaluate one recording into staging, or return the cached result.

    `task_rules` is `rules(task)`, computed once for all recordings.
    """

    def build(folder: Path) -> Json:
        return to_json_value(evaluate_into(task, recording, folder))

    inputs = validated_inputs(recording, task_rules)
    return stage_artifact(home, STAGE, task.name, inputs, build)


def validated_inputs(recording: Recording | CatalogEntry, task_rules: Json) -> Json:
    """Return everything that the result of a recording depends on."""
    inputs = {"recording": recording.ref.digest, "rules": task_rules}
    return inputs | ({"released": True} if recording.released else {})


def evaluate_into(task: Task, recording: Recording, folder: Path) -> RecordingResult:
    """Evaluate a recording, write its episodes into `folder`, and return the result.

    If a check crashes, the recording has no episodes and the error as its reason; others continue.
    """
    try:
        return _evaluate_into(task, recording, folder)
    except Exception as error:
        if not is_fault_of_content(error):
            raise
        for path in folder.iterdir():
            path.unlink()
        failed = reason(
            "checks",
            "whole log",
            f"a check failed: {spell_failure(error)}",
            expected="values that every check can process",
            fix="report this bug of kinemill or of the plug-in, and inspect the log for unusual "
            "values",
        )
        rows = sum(track.rows for track in recording.summary.tracks)
        return RecordingResult(recording.hash, dropped_rows=rows, reasons=[failed])


@dataclass
class _Results:
    """Results of the tracks of a recording so far."""

    episodes: list[EpisodeRow] = field(default_factory=list[EpisodeRow])
    tracks: list[Track] = field(default_factory=list[Track])
    rows: list[table.Row] = field(default_factory=list[table.Row])
    reasons: list[Reason] = field(default_factory=list[Reason])
    dropped: Counter[str] = field(default_factory=Counter[str])
    measured: list[Measured] = field(default_factory=list[Measured])


def _evaluate_into(task: Task, recording: Recording, folder: Path) -> RecordingResult:
    results = _Results()
    bounds = [] if recording.released else bounds_of(task)
    for track in recording.summary.tracks:
        _evaluate_track(task, recording, track, folder, bounds, results)
    refer_to_recording(task, recording.ref, recording.folder, folder)
    findings = Counter(str(item["check"]) for item in results.reasons if item["check"] != SCHEMA)
    tracks = results.tracks
    return RecordingResult(
        hash=recording.hash,
        quarantined=not results.episodes,
        episodes=results.episodes,
        dropped_rows=sum(results.dropped.values()),
        dropped=dict(sorted(results.dropped.items())),
        findings=dict(sorted(findings.items())),
        reasons=_truncate(results.reasons),
        measured=results.measured,
        sketches=_sketches(results.episodes, tracks, task),
        products=action_responses.action_products(_longest(tracks), task) if tracks else None,
        table=table.columns_from(results.rows, task) if results.rows else {},
    )


def _evaluate_track(
    task: Task,
    recording: Recording,
    track: TrackFile,
    folder: Path,
    bounds: list[Bound],
    results: _Results,
) -> None:
    """Evaluate one track and write its episodes."""
    file = recording.folder / track.file
    frame = read_rows(file)
    is_stored_form = frame.columns == ["time_s", *task.recorded]
    frame = frame.select("time_s", *task.recorded)
    values = _track_of(frame, task)
    verdict = (
        skip_checks(values, task) if recording.released else apply_checks_to_track(values, task)
    )
    verdict = drop_nonfinite_aux(verdict, frame, task)
    label = f"track {track.index}, " if len(recording.summary.tracks) > 1 else ""
    results.reasons += [_reason(finding, frame["time_s"], label) for finding in verdict.findings]
    results.dropped.update(verdict.dropped)
    results.measured.append(verdict.measured)
    frame = frame.with_columns(pl.Series(name, item) for name, item in verdict.repaired.items())
    for start, stop in verdict.pieces:
        number = len(results.episodes)
        piece = frame.slice(start, stop - start)
        # A piece that is the whole track reuses the values that the checks computed.
        untouched = piece.height == frame.height and not verdict.repaired
        track_values = values if untouched else _track_of(piece, task)
        row = table.row(episode_id(recording.hash, number), track_values, task)
        if broken := _broken(row, bounds):
            where = f"{label}grid rows {start}-{stop - 1}"
            results.reasons.append(_out_of_bounds(*broken, row, where, task))
            results.dropped[SCHEMA] += piece.height
            continue
        same = file if untouched and is_stored_form else None
        episode = _publish(folder, recording.hash, number, piece, same)
        results.episodes.append(replace(episode, part=track.part))
        results.tracks.append(track_values)
        results.rows.append(row)


def _track_of(frame: pl.DataFrame, task: Task) -> Track:
    return Track({name: frame[name].to_numpy() for name in task.columns})


def _longest(tracks: list[Track]) -> Track:
    return max(tracks, key=lambda track: len(next(iter(track.values()))))


def _publish(
    folder: Path, recording: str, number: int, piece: pl.DataFrame, same: Path | None
) -> EpisodeRow:
    """Write an episode, or link `same`, the file of a track with the same rows."""
    file = f"episode-{number:04d}{SUFFIX}"
    if same is None or not _linked(same, folder / file):
        write_rows(piece, folder / file)
    start = float(piece["time_s"][0])
    return EpisodeRow(episode_id(recording, number), piece.height, start, file)


def episode_id(recording: str, number: int) -> str:
    """Return the id of an episode, given the content hash of its recording."""
    return f"{recording[:16]}-{number:04d}"


def _broken(row: table.Row, bounds: list[Bound]) -> tuple[str, str] | None:
    """Return the first column of an episode's row that is out of bounds, with the expectation."""
    for column, value in row.items():
        if isinstance(value, float) and not isfinite(value):
            return column, "a finite number"
    broken = next((bound for bound in bounds if not bound.holds(row)), None)
    return (broken.column, f"{broken.low:g} to {broken.high:g}") if broken else None


def _out_of_bounds(column: str, expected: str, row: table.Row, where: str, task: Task) -> Reason:
    """Return the reason to drop a piece: the schema of episodes would reject the whole dataset."""
    channel = column.partition(":")[0]
    return reason(
        SCHEMA,
        where,
        f"{column} is {row[column]}",
        channel=channel if channel in task.channels else None,
        expected=expected,
        fix=f"if such values are real, widen `channels.{channel}.limits` or the bounds of "
        f"`validate.max_jump`; kinemill data quarantine release {task.name} NAME accepts one log",
    )


def _linked(file: Path, target: Path) -> bool:
    """Hard-link a published file, which never changes, if the file system supports it."""
    try:
        link(file, target)
    except OSError as error:
        if error.errno in {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP}:
            return False
        raise
    return True


def _sketches(episodes: list[EpisodeRow], tracks: list[Track], task: Task) -> list[PartSketch]:
    """Return the sketches for comparison with other recordings, separately for each part."""
    parts: dict[str, list[Track]] = {}
    for episode, piece in zip(episodes, tracks, strict=True):
        parts.setdefault(episode.part, []).append(piece)
    return [PartSketch(part, sketch(pieces, task)) for part, pieces in parts.items()]


def _reason(finding: Finding, time_s: pl.Series, label: str) -> Reason:
    fault = finding.fault
    first = fault.start
    last = fault.stop - 1
    rows = f"grid row {first}" if first == last else f"grid rows {first}-{last}"
    return {
        "check": finding.check,
        "channel": fault.channel,
        "where": f"{label}{rows}, {time_s[first]:.3f}-{time_s[last]:.3f} s",
        "found": finding.message,
        "expected": fault.expected,
        "fix": fault.fix,
    }


def _truncate(reasons: list[Reason]) -> list[Reason]:
    """Keep the first reasons of each check, and count the rest in one more reason."""
    counts: Counter[str] = Counter()
    listed: list[Reason] = []
    last: dict[str, Reason] = {}
    for item in reasons:
        check = str(item["check"])
        counts[check] += 1
        if counts[check] <= MAX_REASONS:
            listed.append(item)
            last[check] = item
    for check, count in counts.items():
        if count > MAX_REASONS:
            more = {"where": "later rows", "found": f"{count - MAX_REASONS} more findings"}
            listed.append({**last[check], **more, "channel": None})
    return listed
