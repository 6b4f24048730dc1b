"""Checks of accepted episodes: rows are present and finite, and the suite of Great Expectations.

Each expectation is about one episode, except that episodes have unique names. A name begins with
the content hash of its recording, so it is unique if it is so within its recording, and if no two
recordings share the first 16 characters. So only episodes of changed recordings are checked, and
failures are stored with their recording. Episodes that fail an expectation of a user are dropped.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import polars as pl

from kinemill.ingest.raw import Reason, reason
from kinemill.store import Home, Json
from kinemill.task import Task
from kinemill.task.expectation import Expectation
from kinemill.validate.check_results import (
    MAX_LISTED,
    CheckResult,
    planned_checks,
    sound_rows,
)
from kinemill.validate.checkpoint import RECORDING, Failure, run_checkpoint
from kinemill.validate.evaluation import BrokenRule, NewResult, drop_episodes, rows_of
from kinemill.validate.expectations import (
    EPISODE,
    GENERATED,
    NO_FINDINGS,
    ORIGIN,
    UNIQUE,
    bounds_of,
    skipped_checks,
    spell,
)


def check_rows(task: Task, home: Home, results: Sequence[NewResult]) -> list[NewResult]:
    """Return new results without the episodes that fail an expectation of a user.

    Failures of generated checks, which no accepted episode should have, are stored with the result.

    Raises:
        BadInput: The suite of the task is damaged, or an expectation cannot be evaluated.
    """
    if not results:
        return []
    accepted = [result for result in results if result.row.episodes]
    if accepted and not _is_sound(task, accepted):
        return [
            replace(result, details=replace(result.details, broken=_unsound(task, result)))
            for result in results
        ]
    failures = run_checkpoint(task, home, _table(task, results))
    reasons: dict[str, list[Reason]] = defaultdict(list)
    generated: list[Failure] = []
    for failure in failures:
        if failure.expectation["type"] == NO_FINDINGS:
            continue  # the rows of findings are dropped already
        if failure.expectation["meta"].get(ORIGIN) == GENERATED:
            generated.append(failure)
        elif failure.is_critical:
            for row in failure.rows:
                reasons[str(row[EPISODE])].append(_reason(task, failure, row))
    return [_apply(task, result, reasons, generated) for result in results]


def _apply(
    task: Task, evaluated: NewResult, reasons: dict[str, list[Reason]], generated: list[Failure]
) -> NewResult:
    names = [episode.id for episode in evaluated.result.episodes]
    if failed := {name: reasons[name] for name in names if name in reasons}:
        evaluated = drop_episodes(task, evaluated, failed)
    if broken := _broken(task, {*names}, generated):
        evaluated = replace(evaluated, details=replace(evaluated.details, broken=broken))
    return evaluated


def _is_sound(task: Task, results: list[NewResult]) -> bool:
    return all(check.passed for check in sound_rows(task, rows_of(task, results)))


def _unsound(task: Task, evaluated: NewResult) -> dict[str, BrokenRule]:
    """Return the checks that a recording fails whose rows are missing, too few or not finite."""
    if not evaluated.row.episodes or _is_sound(task, [evaluated]):
        return {}
    skipped = skipped_checks(task, "rows are missing, too few or not finite")
    checks: Iterable[CheckResult] = [*sound_rows(task, rows_of(task, [evaluated])), *skipped]
    return {
        check.name: BrokenRule(
            check.values.get("failed", 1),
            check.values.get("failing", []),
            check.values.get("error", ""),
        )
        for check in checks
        if not check.passed
    }


def _table(task: Task, results: Sequence[NewResult]) -> pl.DataFrame:
    """Return one row an episode, with the findings in its recording by check.

    A recording without an accepted episode is one row without statistics. The values of released
    recordings are accepted as they are, so they are left out.
    """
    checked = [result for result in results if not result.row.released]
    counts = [max(1, len(evaluated.result.episodes)) for evaluated in checked]
    names = [name for name in planned_checks(task) if name.startswith("physics_")]
    columns: dict[str, list[str | float | None]] = {
        RECORDING: [
            evaluated.row.name
            for evaluated, rows in zip(checked, counts, strict=True)
            for _ in range(rows)
        ]
    }
    for name in names:
        check = name.removeprefix("physics_")
        columns[name] = [
            float(evaluated.result.findings.get(check, 0))
            for evaluated, rows in zip(checked, counts, strict=True)
            for _ in range(rows)
        ]
    for name in rows_of(task, []).columns:
        columns[name] = [
            value for evaluated in checked for value in evaluated.result.table.get(name) or [None]
        ]
    numbers = dict.fromkeys(columns, pl.Float64)
    return pl.DataFrame(columns, schema={**numbers, RECORDING: pl.String, EPISODE: pl.String})


def _reason(task: Task, failure: Failure, row: Json) -> Reason:
    """Return why an episode is dropped that fails an expectation of a user."""
    arguments = failure.expectation["kwargs"]
    columns = Expectation(type=failure.expectation["type"], **arguments).columns
    channel = columns[0].partition(":")[0] if columns else ""
    return reason(
        str(failure.expectation["type"]),
        f"episode {row[EPISODE]}",
        ", ".join(f"{name} is {row[name]}" for name in columns if name in row),
        channel=channel if channel in task.channels else None,
        expected=spell(failure.expectation),
        fix="if such values are real, change the expectation in the "
        f"{failure.expectation['meta'].get(ORIGIN, 'suite file')}; kinemill data quarantine "
        f"release {task.name} NAME accepts one log",
    )


def _broken(task: Task, names: set[str], failures: list[Failure]) -> dict[str, BrokenRule]:
    """Return the schema checks that some episodes of a recording fail."""
    bounds = {bound.column: bound for bound in [*bounds_of(task), UNIQUE]}
    failing: dict[str, list[Json]] = defaultdict(list)
    for failure in failures:
        bound = bounds[failure.expectation["kwargs"]["column"]]
        failing[bound.check] += [
            {
                "episode": row[EPISODE],
                "column": bound.column,
                "value": row[bound.column],
                "expected": f"{bound.low:g} to {bound.high:g}",
            }
            for row in failure.rows
            if row[EPISODE] in names
        ]
    return {
        check: BrokenRule(len(items), [*items[:MAX_LISTED]])
        for check, items in failing.items()
        if items
    }
