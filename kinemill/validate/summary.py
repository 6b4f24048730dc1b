"""Summary of all episodes of a task: checks, quarantine list, report page, numbers."""

from dataclasses import dataclass, replace
from pathlib import Path

from kinemill.store import StoredSummary, read_document, to_json_value, write_document
from kinemill.task import Task
from kinemill.validate import (
    action_responses,
    expectations,
    measures,
    report,
    table,
    unit_outliers,
)
from kinemill.validate.check_results import (
    ACTION_OUTLIERS,
    MAX_LISTED,
    NEAR_DUPLICATES,
    UNIT_OUTLIERS,
    CheckResult,
    is_skipped,
    physical_names,
    planned_checks,
    sound_rows,
)
from kinemill.validate.duplicates.registry import DuplicatePairs
from kinemill.validate.merge import PartSummary
from kinemill.validate.report_samples import QuarantinedRecording, RecordingSample

CHECKS, QUARANTINE, PAGE = "checks.json", "quarantine.json", "page.html"


@dataclass(frozen=True)
class CheckState:
    """Name and result of a check."""

    name: str
    passed: bool
    blocking: bool


@dataclass(frozen=True)
class EpisodesSummary(StoredSummary):
    """Numbers of the published episodes.

    Attributes:
        accepted: number of episodes.
        recordings: number of recordings.
        quarantined: number of recordings without an accepted episode.
        faulty: number of recordings with a finding.
        held_back: number of recordings that are not accepted as a whole.
        rows: number of rows of all episodes.
        dropped: rows by the check that dropped them.
        failing: names of the first quarantined recordings.
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
    failing: list[str]
    digest: str
    dropped_rows: int
    checks: list[CheckState]


def read_quarantine(folder: Path) -> list[QuarantinedRecording]:
    """Read the listed quarantined recordings of published episodes."""
    return read_document(folder / QUARANTINE, list[QuarantinedRecording])


def read_checks(folder: Path) -> list[CheckResult]:
    """Read the results of all checks of published episodes, blocking ones first."""
    return read_document(folder / CHECKS, list[CheckResult])


def describe(
    task: Task, folder: Path, merged: PartSummary, duplicates: DuplicatePairs
) -> EpisodesSummary:
    """Write checks, quarantine list and page; return the summary.

    Args:
        task: its checks.
        folder: where to write.
        merged: merged summaries of all shards.
        duplicates: pairs of near-duplicates.
    """
    checks = _checks(task, merged, duplicates)
    write_document(folder / CHECKS, checks)
    faulty = merged.samples.faulty
    quarantined = [
        QuarantinedRecording(one.recording, one.name, one.reasons, one.omitted)
        for one in faulty
        if not one.episodes
    ]
    write_document(folder / QUARANTINE, quarantined)
    summary = EpisodesSummary(
        accepted=merged.accepted,
        recordings=merged.recordings,
        quarantined=merged.quarantined,
        faulty=merged.faulty,
        held_back=merged.held_back,
        rows=merged.rows,
        dropped=merged.dropped,
        failing=merged.failing,
        digest=merged.digest,
        dropped_rows=sum(merged.dropped.values()),
        checks=[CheckState(check.name, check.passed, check.blocking) for check in checks],
    )
    samples = [*faulty, *merged.samples.sound]
    (folder / PAGE).write_text(report.render(task, summary, checks, merged.ranges, samples))
    return summary


def _checks(task: Task, merged: PartSummary, duplicates: DuplicatePairs) -> list[CheckResult]:
    """Return the result of every check, blocking ones first."""
    plans = planned_checks(task)
    results = {check.name: check for check in [*_amounts(task, merged), *merged.checks]}
    if not merged.accepted:
        nothing = sound_rows(task, table.empty(task))
        failed = [check.name for check in nothing if not check.passed]
        skipped = expectations.skipped_checks(task, f"{', '.join(failed)} failed")
        results |= {check.name: check for check in [*nothing, *skipped]}
    for name in physical_names(task):
        if numbers := merged.measured.get(name):
            result = results[f"physics_{name}"]
            values = {**result.values, "measured": measures.spans(numbers)}
            results[result.name] = replace(result, values=values)
    accepted = merged.recordings - merged.quarantined
    units = unit_outliers.find_unit_outliers(merged.unit_stds, accepted, task)
    actions = action_responses.find_action_outliers(merged.responses, task)
    listed = {
        NEAR_DUPLICATES: (duplicates.total, to_json_value(duplicates.nearest)),
        UNIT_OUTLIERS: (len(units), [outlier.to_json() for outlier in units]),
        ACTION_OUTLIERS: (len(actions), [outlier.to_json() for outlier in actions]),
    }
    for name, (total, some) in listed.items():
        values = {"found": total, "failing": some[:MAX_LISTED]}
        results[name] = plans[name].make_result(not total, values)
    return [_with_fix(task, results[name], merged.samples.faulty) for name in plans]


def _with_fix(task: Task, check: CheckResult, faulty: list[RecordingSample]) -> CheckResult:
    """Return a failed blocking check with its first reasons and a fix; others unchanged."""
    if check.passed or not check.blocking or is_skipped(check.values):
        return check
    if check.name in {"accepted_not_empty", "quarantined_share"}:
        lost = [one for one in faulty if not one.episodes and one.reasons]
        values = {**check.values, "because": [_first_reason(one) for one in lost[:MAX_LISTED]]}
        command = f"kinemill data quarantine list {task.name} shows all reasons"
        fix = f"correct these logs or the task; {command}"
    else:
        values = check.values
        fix = f"kinemill data quarantine reject {task.name} EPISODE leaves its recording out"
    return replace(check, values={**values, "fix": fix})


def _first_reason(one: RecordingSample) -> str:
    first = one.reasons[0]
    what = " ".join(part for part in (first["check"], first["channel"]) if part)
    return f"{one.name}: {what}, {first['where']}: {first['found']}; {first['fix']}"


def _amounts(task: Task, merged: PartSummary) -> list[CheckResult]:
    plans = planned_checks(task)
    allowed = task.validation.max_quarantined_share
    share = merged.quarantined / max(1, merged.recordings)
    values = {
        "share": share,
        "expected": f"at most {allowed:g}",
        "quarantined": merged.quarantined,
        "recordings": merged.recordings,
        "failing": merged.failing,
    }
    return [
        plans["accepted_not_empty"].make_result(merged.accepted > 0, {"episodes": merged.accepted}),
        plans["quarantined_share"].make_result(share <= allowed, values),
    ]
