"""Summary of all episodes of a task: checks, quarantine list, report page, numbers."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kinemill.catalog import evaluations
from kinemill.ingest.rows import read_rows
from kinemill.store import Json, StoredSummary, read_document, to_json_value, write_document
from kinemill.task import Task
from kinemill.validate import expectations, report, table
from kinemill.validate.accepted_episodes import AcceptedEpisodes
from kinemill.validate.action_fit import MIN_OTHERS, Array, comparable, find_action_faults
from kinemill.validate.action_responses import COMPARE
from kinemill.validate.apply_checks import Measured
from kinemill.validate.check_results import (
    ACTION_OUTLIERS,
    MAX_LISTED,
    NEAR_DUPLICATES,
    UNIT_OUTLIERS,
    CheckResult,
    Outlier,
    is_skipped,
    physical_names,
    planned_checks,
    row_expectations,
    sound_rows,
)
from kinemill.validate.duplicates.registry import DuplicatePairs
from kinemill.validate.report import (
    FAULTY,
    REASONS,
    QuarantinedRecording,
    RecordingSample,
)
from kinemill.validate.results import Results
from kinemill.validate.totals import Item, Totals

CHECKS = "checks.json"
QUARANTINE = "quarantine.json"
PAGE = "page.html"
COMPARED = 64  # recordings whose longest episodes are read to compare their actions


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
        quarantined: number of recordings without an accepted episode.
        faulty: number of recordings with a finding.
        held_back: number of recordings that are not accepted as a whole.
        dropped: rows by the check that dropped them.
        failing: names of the first quarantined recordings.
        digest: digest of the set of episodes.
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
    task: Task, folder: Path, results: Results, sample: Sequence[Item], duplicates: DuplicatePairs
) -> EpisodesSummary:
    """Write checks, quarantine list and page; return the summary.

    All others are compared with the recordings of `sample`.
    """
    totals = results.totals
    faulty = [_sample_of(item) for item in results.faulty(limit=FAULTY)]
    checks = _checks(task, results, totals, sample, duplicates)
    checks = [_with_fix(task, check, faulty) for check in checks]
    write_document(folder / CHECKS, checks)
    quarantined = [
        QuarantinedRecording(sample.recording, sample.name, sample.reasons, sample.omitted)
        for sample in faulty
        if not sample.episodes
    ]
    write_document(folder / QUARANTINE, quarantined)
    summary = EpisodesSummary(
        accepted=totals["episodes"],
        recordings=totals["recordings"],
        quarantined=totals["quarantined"],
        faulty=totals["faulty"],
        held_back=totals["held_back"],
        rows=totals["rows"],
        dropped=totals.dropped,
        failing=results.quarantined_names(MAX_LISTED),
        digest=totals.episodes,
        dropped_rows=sum(totals.dropped.values()),
        checks=[CheckState(check.name, check.passed, check.blocking) for check in checks],
    )
    (folder / PAGE).write_text(report.render(task, summary, checks, faulty))
    return summary


def _sample_of(item: Item) -> RecordingSample:
    row, details = item
    omitted = max(0, len(details.reasons) - REASONS)
    return RecordingSample(row.hash, row.name, details.reasons[:REASONS], omitted, row.episodes)


def _checks(
    task: Task, results: Results, totals: Totals, sample: Sequence[Item], duplicates: DuplicatePairs
) -> list[CheckResult]:
    """Return the result of every check, blocking ones first."""
    made = _amounts(task, totals, results)
    if totals["episodes"]:
        made += _of_episodes(task, totals, results)
    else:
        nothing = sound_rows(task, table.empty(task))
        failed = [check.name for check in nothing if not check.passed]
        made += [*nothing, *expectations.skipped_checks(task, f"{', '.join(failed)} failed")]
    measured = _summarize(
        (track for _, details in sample for track in details.measured), totals.spans
    )
    made += _physics(task, totals, results, measured)
    made += _cross_recording(task, results, sample, duplicates)
    by_name = {check.name: check for check in made}
    return [by_name[name] for name in planned_checks(task)]


def _summarize(
    tracks: Iterable[Measured], spans: Mapping[str, tuple[float, float]]
) -> dict[str, dict[str, list[float]]]:
    """Return minimum, median and maximum of each number, by check and name.

    `tracks` is a sample, for the medians; `spans` covers all tracks, by `check/name`.
    """
    values: dict[str, dict[str, list[float]]] = {}
    for track in tracks:
        for check, numbers in track.items():
            for name, value in numbers.items():
                values.setdefault(check, {}).setdefault(name, []).append(value)
    result: dict[str, dict[str, list[float]]] = {}
    for key, (least, largest) in sorted(spans.items()):
        check, _, name = key.partition("/")
        current = values.get(check, {}).get(name) or [least, largest]
        result.setdefault(check, {})[name] = [least, float(np.median(current)), largest]
    return result


def _of_episodes(task: Task, totals: Totals, results: Results) -> list[CheckResult]:
    """Return the checks of accepted episodes, from the failures stored with each recording."""
    schema = Counter(bound.check for bound in expectations.bounds_of(task))
    schema[expectations.UNIQUE.check] += 1
    values: dict[str, Json] = {
        name: {"episodes": totals["episodes"], "expected": expected}
        for name, expected in row_expectations(task).items()
    }
    values |= {
        name: {"episodes": totals["checked"], "expectations": count}
        for name, count in schema.items()
    }
    return [_of_rule(task, name, broken, totals, results) for name, broken in values.items()]


def _of_rule(task: Task, name: str, values: Json, totals: Totals, results: Results) -> CheckResult:
    failed = totals.checks.get(name, (0, 0, 0))[0]
    broken = [details.broken[name] for _, details in results.faulty(name)] if failed else []
    failing = [item for rule in broken for item in rule.failing][:MAX_LISTED]
    errors = dict.fromkeys(rule.error for rule in broken if rule.error)
    values = {**values, "failed": failed, "failing": failing}
    values |= {"error": "; ".join(errors)} if errors else {}
    return planned_checks(task)[name].make_result(not failed, values)


def _physics(
    task: Task, totals: Totals, results: Results, measured: Mapping[str, Mapping[str, list[float]]]
) -> list[CheckResult]:
    """Return for each physical check its number of findings, recordings and dropped rows."""
    plans = planned_checks(task)
    listed = list[CheckResult]()
    for name in physical_names(task):
        faults, rows, recordings = totals.checks.get(f"physics_{name}", (0, 0, 0))
        items = results.faulty(f"physics_{name}") if faults else []
        reasons = [
            {"recording": row.name, **reason}
            for row, details in items
            for reason in details.reasons
            if reason["check"] == name
        ]
        values: Json = {"faults": faults, "rows": rows, "recordings": recordings}
        values["failing"] = reasons[:MAX_LISTED]
        if measurement := measured.get(name):
            values["measured"] = measurement
        listed.append(plans[f"physics_{name}"].make_result(not faults, values))
    return listed


def _cross_recording(
    task: Task, results: Results, sample: Sequence[Item], duplicates: DuplicatePairs
) -> list[CheckResult]:
    """Return the checks that compare recordings with each other."""
    by_check = {
        name: results.outliers(name, MAX_LISTED) for name in (UNIT_OUTLIERS, ACTION_OUTLIERS)
    }
    total, listed = by_check[ACTION_OUTLIERS]
    names = {item["recording"] for item in listed}
    late = [
        item for item in _action_faults(task, results, sample) if item["recording"] not in names
    ]
    by_check[ACTION_OUTLIERS] = (total + len(late), [*listed, *late][:MAX_LISTED])
    by_check[NEAR_DUPLICATES] = (duplicates.total, to_json_value(duplicates.nearest)[:MAX_LISTED])
    plans = planned_checks(task)
    return [
        plans[name].make_result(not total, {"found": total, "failing": listed})
        for name, (total, listed) in by_check.items()
    ]


def _action_faults(task: Task, results: Results, sample: Sequence[Item]) -> list[Json]:
    """Return the recordings of a sample whose actions seem late, inverted or exchanged."""
    hashes = [row.hash for row, _ in sample if row.episodes][:COMPARED]
    if len(hashes) <= MIN_OTHERS or not (task.states and task.actions):
        return []
    listed = evaluations.last_set(results.home, task.name).episodes(hashes)
    logs = dict[str, dict[str, Array]]()
    longest = {episode.name: episode for episode in sorted(listed, key=lambda item: item.rows)}
    for episode in AcceptedEpisodes.of_catalog(results.home, longest.values()):
        frame = read_rows(episode.path, task.columns)
        logs[episode.name] = comparable(
            {name: frame[name].to_numpy() for name in task.columns}, task
        )
    return [
        Outlier(fault.log, task.actions, fault.what, COMPARE).to_json()
        for fault in find_action_faults(logs, task)
    ]


def _with_fix(task: Task, check: CheckResult, faulty: list[RecordingSample]) -> CheckResult:
    """Return a failed blocking check with its first reasons and a fix; others unchanged."""
    if check.passed or not check.blocking or is_skipped(check.values):
        return check
    if check.name in {"accepted_not_empty", "quarantined_share"}:
        lost = [sample for sample in faulty if not sample.episodes and sample.reasons]
        values = {
            **check.values,
            "because": [_first_reason(sample) for sample in lost[:MAX_LISTED]],
        }
        command = f"kinemill data quarantine list {task.name} shows all reasons"
        fix = f"correct these logs or the task; {command}"
    else:
        values = check.values
        fix = f"kinemill data quarantine reject {task.name} EPISODE leaves its recording out"
    return replace(check, values={**values, "fix": fix})


def _first_reason(sample: RecordingSample) -> str:
    first = sample.reasons[0]
    what = " ".join(part for part in (first["check"], first["channel"]) if part)
    return f"{sample.name}: {what}, {first['where']}: {first['found']}; {first['fix']}"


def _amounts(task: Task, totals: Totals, results: Results) -> list[CheckResult]:
    plans = planned_checks(task)
    allowed = task.validation.max_quarantined_share
    share = totals["quarantined"] / max(1, totals["recordings"])
    values = {
        "share": share,
        "expected": f"at most {allowed:g}",
        "quarantined": totals["quarantined"],
        "recordings": totals["recordings"],
        "failing": results.quarantined_names(MAX_LISTED),
    }
    accepted = totals["episodes"]
    return [
        plans["accepted_not_empty"].make_result(accepted > 0, {"episodes": accepted}),
        plans["quarantined_share"].make_result(share <= allowed, values),
    ]
