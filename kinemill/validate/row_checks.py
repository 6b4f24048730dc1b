"""Checks of accepted episodes: rows are present and finite, and Great Expectations on each value.

Every expectation looks at one episode alone, except that episodes have unique names. A name begins
with the content hash of its recording, so it is unique if it is so within its recording, and if no
two recordings share the first 16 characters. So only episodes of changed recordings are checked,
and failures are stored with their recording.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import polars as pl

from kinemill.task import Task
from kinemill.validate import expectations
from kinemill.validate.check_results import CheckResult, sound_rows
from kinemill.validate.evaluation import BrokenRule, NewResult, rows_of


def check_rows(task: Task, results: Sequence[NewResult]) -> list[NewResult]:
    """Return new results with the checks that their episodes fail.

    No other recording is checked at the same time.
    """
    if all(each.passed for each in _check(task, results)):
        return list(results)
    return [
        replace(one, details=replace(one.details, broken=_broken(task, one))) for one in results
    ]


def _check(task: Task, results: Sequence[NewResult]) -> Iterable[CheckResult]:
    """Yield the results of all checks of accepted episodes, for all recordings in one call."""
    accepted = [one for one in results if one.row.episodes]
    if not accepted:
        return
    yield from sound_rows(task, rows_of(task, accepted))
    # Released recordings may exceed the bounds.
    if not (checked := rows_of(task, [one for one in accepted if not one.row.released])).is_empty():
        yield from _schema(task, checked)


def _schema(task: Task, rows: pl.DataFrame) -> list[CheckResult]:
    if all(check.passed for check in sound_rows(task, rows)):
        return expectations.schema_checks(task, rows)
    return expectations.skipped_checks(task, "rows are missing, too few or not finite")


def _broken(task: Task, result: NewResult) -> dict[str, BrokenRule]:
    return {
        check.name: BrokenRule(
            check.values.get("failed", 1),
            check.values.get("failing", []),
            check.values.get("error", ""),
        )
        for check in _check(task, [result])
        if not check.passed
    }
