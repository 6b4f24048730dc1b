"""Reprocess recordings after rules changed, limited to what the change affects.

Every result is stored under the digest of its rules. Unaffected results are cache hits, and results
of earlier rules are kept: old datasets remain readable.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kinemill.errors import BadInput
from kinemill.ingest import load_recordings
from kinemill.ingest import stage as ingest
from kinemill.ingest.decisions import current_decisions
from kinemill.ingest.inspection import read_before
from kinemill.ingest.membership import Member, members
from kinemill.ingest.recordings import STAGE as READ
from kinemill.ingest.recordings import recording_inputs
from kinemill.store import MANIFEST, ArtifactRef, Home, Json, digest, peek, read_json
from kinemill.store.json_io import json_differences
from kinemill.task import Progress, Task
from kinemill.validate import stage as validate
from kinemill.validate.episodes import STAGE as EVALUATED
from kinemill.validate.episodes import rules, validated_inputs
from kinemill.validate.stage import load_checks
from kinemill.validate.summary import EpisodesSummary

_OF_RECORDING = {
    "hash",
    "suffix",
    "edits",
}  # inputs that belong to the recording and not to the rules


@dataclass(frozen=True)
class RuleChange:
    """A rule that changed, with its values as JSON."""

    stage: str
    rule: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Processed:
    """Number of cached and of newly processed recordings in one stage."""

    cached: int
    processed: int


@dataclass(frozen=True)
class ReprocessReport:
    """Result of a reprocessing.

    Attributes:
        changed: rules that changed.
        recordings: recordings in ingest.
        episodes: recordings in validation.
        accepted: number of accepted episodes.
        quarantined: number of quarantined recordings.
        failed: blocking checks that failed.
        datasets: number of dataset versions that remain readable.
    """

    task: str
    changed: list[RuleChange]
    recordings: Processed
    episodes: Processed
    accepted: int
    quarantined: int
    failed: list[str]
    datasets: int


def reprocess(task: Task, home: Home, progress: Progress | None = None) -> ReprocessReport:
    """Process every recording of a task by its current rules.

    Raises:
        BadInput: The task has no recording.
    """
    barred = {hash_ for hash_, made in current_decisions(home, task.name).items() if made.bars}
    selected = [
        member
        for member in members(home, task.name).values()
        if task.ingest.wants(member.name) and member.hash not in barred
    ]
    if not selected:
        raise BadInput(task.name, "has no recording yet", fix=f"kinemill data ingest {task.name}")
    changed = [*_changed_ingest(task, home, selected[0]), *_changed_checks(task, home)]
    read = sum(read_before(task, home, member) is not None for member in selected)
    with TemporaryDirectory(prefix="kinemill-nothing-new-") as empty:
        recordings = ingest.run(task, home, Path(empty), progress).artifact.ref
    evaluated, total = _count_evaluated(task, home, recordings)
    artifact = validate.run(task, home, recordings, progress)
    summary = EpisodesSummary.of(artifact)
    checks = load_checks(home, artifact.ref)
    return ReprocessReport(
        task=task.name,
        changed=changed,
        recordings=Processed(read, len(selected) - read),
        episodes=Processed(evaluated, total - evaluated),
        accepted=summary.accepted,
        quarantined=summary.quarantined,
        failed=[check.name for check in checks if check.blocking and not check.passed],
        datasets=len(list((home.store / "dataset" / task.name).glob(f"*/{MANIFEST}"))),
    )


def _count_evaluated(task: Task, home: Home, recordings: ArtifactRef) -> tuple[int, int]:
    """Count recordings with tracks: those validated under the current rules, and all."""
    task_rules = rules(task)
    keys = [
        digest(validated_inputs(recording, task_rules))
        for recording in load_recordings(home, recordings)
        if recording.summary.tracks
    ]
    return sum(peek(home, EVALUATED, task.name, key) is not None for key in keys), len(keys)


def _changed_ingest(task: Task, home: Home, member: Member) -> list[RuleChange]:
    now = {k: v for k, v in recording_inputs(task, member).items() if k not in _OF_RECORDING}
    return _changes(home, "ingest", READ, task, now, _OF_RECORDING)


def _changed_checks(task: Task, home: Home) -> list[RuleChange]:
    ignored = {"recording", "released"}
    return _changes(home, "validate", EVALUATED, task, {"rules": rules(task)}, ignored)


def _changes(
    home: Home, stage: str, folder: str, task: Task, now: Json, ignored: set[str]
) -> list[RuleChange]:
    """Compare the current rules with those of the newest artifact of a stage."""
    folders = (home.store / folder / task.name).glob(f"*/{MANIFEST}")
    newest = sorted(folders, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    if not newest:
        return []
    inputs = read_json(newest[0])["inputs"]
    old = {key: value for key, value in inputs.items() if key not in ignored}
    return [
        RuleChange(stage, key.removeprefix("task.").removeprefix("rules."), previous, current)
        for key, previous, current in json_differences(old, now)
    ]
