"""Reprocess known recordings after rules changed, limited to what the change affects.

Every outcome is kept under the digest of the rules it was made by, so what a change does not touch
is found again, and what was made by older rules stays where it is: old datasets stay readable.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from kinemill.errors import BadInput
from kinemill.ingest import load_recordings
from kinemill.ingest import stage as ingest
from kinemill.ingest.decisions import current_decisions
from kinemill.ingest.inspection import read_before
from kinemill.ingest.membership import Member, members
from kinemill.ingest.recordings import STAGE as READ
from kinemill.ingest.recordings import recording_inputs
from kinemill.store import MANIFEST, Artifact, ArtifactRef, Json, digest, peek, read_json
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.protocols import Progress
from kinemill.validate import stage as validate
from kinemill.validate.episodes import STAGE as EVALUATED
from kinemill.validate.episodes import rules, validated_inputs
from kinemill.validate.stage import load_checks

_OWN = {"hash", "suffix"}  # of a recording, not of the rules


def reprocess(task: Task, home: Home, progress: Progress | None = None) -> Json:
    """Bring every known recording of a task to its present rules.

    Returns:
        {"task", "changed": [{"stage", "rule", "before", "now"}], "recordings" and "episodes":
        {"known", "redone"} (recordings read, and judged), "accepted", "quarantined", "failed":
        blocking checks, "datasets": versions that stay readable}.

    Raises:
        BadInput: the task has no recording.
    """
    barred = {hash_ for hash_, made in current_decisions(home, task.name).items() if made.bars}
    selected = [
        member
        for member in members(home, task.name).values()
        if task.ingest.wants(member.name) and member.hash not in barred
    ]
    if not selected:
        raise BadInput(task.name, "has no recording yet", fix=f"kinemill data ingest {task.name}")
    changed = [*_changed_reading(task, home, selected[0]), *_changed_judging(task, home)]
    read = sum(read_before(task, home, member) is not None for member in selected)
    with TemporaryDirectory(prefix="kinemill-nothing-new-") as empty:
        recordings = ingest.run(task, home, Path(empty), progress).artifact.ref
    evaluated, total = _judged_before(task, home, recordings)
    artifact = validate.run(task, home, recordings, progress)
    return {
        "task": task.name,
        "changed": changed,
        "recordings": {"known": read, "redone": len(selected) - read},
        "episodes": {"known": evaluated, "redone": total - evaluated},
        **_count_results(home, artifact),
        "datasets": len(list((home.store / "dataset" / task.name).glob(f"*/{MANIFEST}"))),
    }


def _count_results(home: Home, artifact: Artifact) -> Json:
    checks = load_checks(home, artifact.ref)
    return {
        "accepted": artifact.summary["accepted"],
        "quarantined": artifact.summary["quarantined"],
        "failed": [check.name for check in checks if check.blocking and not check.passed],
    }


def _judged_before(task: Task, home: Home, recordings: ArtifactRef) -> tuple[int, int]:
    """Count recordings with tracks: those judged under the present rules, and all."""
    task_rules = rules(task)
    keys = [
        digest(validated_inputs(recording, task_rules))
        for recording in load_recordings(home, recordings)
        if recording.summary["tracks"]
    ]
    return sum(peek(home, EVALUATED, task.name, key) is not None for key in keys), len(keys)


def _changed_reading(task: Task, home: Home, member: Member) -> list[Json]:
    now = {k: v for k, v in recording_inputs(task, member).items() if k not in _OWN}
    return [{"stage": "ingest", **item} for item in _against(home, READ, task, now, _OWN)]


def _changed_judging(task: Task, home: Home) -> list[Json]:
    now = {"rules": rules(task)}
    ignored = {"recording", "released"}
    return [{"stage": "validate", **item} for item in _against(home, EVALUATED, task, now, ignored)]


def _against(home: Home, stage: str, task: Task, now: Json, ignored: set[str]) -> list[Json]:
    """Compare rules with those of the newest outcome, or the newest that was made by others."""
    folders = (home.store / stage / task.name).glob(f"*/{MANIFEST}")
    newest = sorted(folders, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    if not newest:
        return []
    inputs = read_json(newest[0])["inputs"]
    old = {key: value for key, value in inputs.items() if key not in ignored}
    return list(_differences(old, now))


def _differences(previous: Json, now: Json, path: str = "") -> list[Json]:
    differences: list[Json] = []
    for key in dict.fromkeys([*previous, *now]):
        old, new, name = previous.get(key), now.get(key), f"{path}{key}"
        if isinstance(old, dict) and isinstance(new, dict):
            differences += _differences(old, new, f"{name}.")
        elif old != new:
            rule = name.removeprefix("task.").removeprefix("rules.")
            differences.append({"rule": rule, "before": old, "now": new})
    return differences
