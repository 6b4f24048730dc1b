"""All of a task's episodes described together: checks, quarantine, page, summary."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kinemill.store import Artifact, ArtifactRef, from_json_value, summary_of, write_json
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate import (
    action_responses,
    cross_recording_checks,
    expectations,
    measures,
    report,
    table,
    unit_outliers,
)
from kinemill.validate.check_results import (
    MAX_LISTED,
    CheckResult,
    is_skipped,
    physical_names,
    planned_checks,
    sound_rows,
)
from kinemill.validate.duplicates.registry import DuplicatePairs
from kinemill.validate.merge import COUNTS

CHECKS, QUARANTINE, PAGE = "checks.json", "quarantine.json", "page.html"
_NAMED, _STATE = ("recording", "name", "reasons", "more"), ("name", "passed", "blocking")

Json = dict[str, Any]


@dataclass(frozen=True)
class CheckState:
    """Name and result of a check."""

    name: str
    passed: bool
    blocking: bool


@dataclass(frozen=True)
class EpisodesSummary:
    """Numbers of the published episodes.

    Attributes:
        accepted: number of episodes.
        recordings: number of recordings.
        quarantined: number of recordings without an accepted episode.
        faulty: number of recordings with a finding.
        held_back: number of recordings that are not accepted as a whole.
        rows: number of rows of all episodes.
        dropped: rows by the check that dropped them.
        digest: digest of the set of episodes.
        dropped_rows: number of all dropped rows.
        checks: results, blocking ones first.
    """

    accepted: int
    recordings: int
    quarantined: int
    faulty: int
    held_back: int
    rows: int
    dropped: dict[str, int]
    digest: str
    dropped_rows: int
    checks: list[CheckState]

    @classmethod
    def of(cls, artifact: Artifact) -> "EpisodesSummary":
        """Return the summary of published episodes."""
        return from_json_value(artifact.summary, cls, Path(artifact.ref.path))

    @classmethod
    def read(cls, home: Home, ref: ArtifactRef) -> "EpisodesSummary":
        """Read the summary of published episodes.

        Raises:
            CorruptArtifact: It is damaged.
        """
        return from_json_value(summary_of(home, ref), cls, home.root / ref.path)


def describe(task: Task, folder: Path, every: Json, repeats: DuplicatePairs) -> Json:
    """Write checks, quarantine and page; return the summary.

    Args:
        task: what was asked.
        folder: where to write.
        every: what all shards come to together (`kinemill.validate.merge`).
        repeats: the pairs of recordings that are the same run.
    """
    checks = _checks(task, every, repeats)
    write_json(folder / CHECKS, [check.to_json() for check in checks])
    faulty: list[Json] = every["shown"]["faulty"]
    quarantined = [{key: one[key] for key in _NAMED} for one in faulty if not one["episodes"]]
    write_json(folder / QUARANTINE, quarantined)
    summary = {
        **{key: every[key] for key in (*COUNTS, "dropped", "digest")},
        "dropped_rows": sum(every["dropped"].values()),
        "checks": [{key: getattr(check, key) for key in _STATE} for check in checks],
    }
    drawn = [*faulty, *every["shown"]["sound"]]
    (folder / PAGE).write_text(report.render(task, summary, checks, every["ranges"], drawn))
    return summary


def _checks(task: Task, every: Json, repeats: DuplicatePairs) -> list[CheckResult]:
    """Return the result of every check, blocking ones first."""
    plans = planned_checks(task)
    results = {check.name: check for check in _amounts(task, every)}
    results |= {item["name"]: CheckResult(**item) for item in every["checks"]}
    if not every["accepted"]:
        nothing = sound_rows(task, table.empty(task))
        failed = [check.name for check in nothing if not check.passed]
        skipped = expectations.skipped_checks(task, f"{', '.join(failed)} failed")
        results |= {check.name: check for check in [*nothing, *skipped]}
    for name in physical_names():
        if numbers := every["measured"].get(name):
            result = results[f"physics_{name}"]
            values = {**result.values, "measured": measures.spans(numbers)}
            results[result.name] = replace(result, values=values)
    accepted = every["recordings"] - every["quarantined"]
    between = {
        cross_recording_checks.NEAR_DUPLICATES: (repeats.total, repeats.nearest),
        cross_recording_checks.FOREIGN_UNITS: _listed(
            unit_outliers.foreign_units([every["spread"]], accepted, task)
        ),
        cross_recording_checks.FOREIGN_ACTIONS: _listed(
            action_responses.foreign_actions([every["responses"]], task)
        ),
    }
    for name, (total, some) in between.items():
        results[name] = plans[name].make_result(
            not total, {"found": total, "failing": some[:MAX_LISTED]}
        )
    return [_with_fix(task, results[name], every["shown"]["faulty"]) for name in plans]


def _with_fix(task: Task, check: CheckResult, faulty: list[Json]) -> CheckResult:
    """Return a check that blocks with the first reasons behind it and what ends the block."""
    if check.passed or not check.blocking or is_skipped(check.values):
        return check
    if check.name in {"accepted_not_empty", "quarantined_share"}:
        lost = [one for one in faulty if not one["episodes"] and one["reasons"]]
        values = {**check.values, "because": [_first_reason(one) for one in lost[:MAX_LISTED]]}
        command = f"kinemill data quarantine list {task.name} shows all reasons"
        fix = f"correct these logs or the task; {command}"
    else:
        values = check.values
        fix = f"kinemill data quarantine reject {task.name} EPISODE leaves its recording out"
    return replace(check, values={**values, "fix": fix})


def _first_reason(one: Json) -> str:
    first = one["reasons"][0]
    what = " ".join(part for part in (first["check"], first["channel"]) if part)
    return f"{one['name']}: {what}, {first['where']}: {first['found']}; {first['fix']}"


def _listed(outliers: list[Json]) -> tuple[int, list[Json]]:
    return len(outliers), outliers


def _amounts(task: Task, every: Json) -> list[CheckResult]:
    plans, total = planned_checks(task), every["recordings"]
    share, allowed = every["quarantined"] / max(1, total), task.validation.max_quarantined_share
    return [
        plans["accepted_not_empty"].make_result(
            every["accepted"] > 0, {"episodes": every["accepted"]}
        ),
        plans["quarantined_share"].make_result(
            share <= allowed,
            {
                "share": share,
                "expected": f"at most {allowed:g}",
                "quarantined": every["quarantined"],
                "recordings": total,
                "failing": every["failing"],
            },
        ),
    ]
