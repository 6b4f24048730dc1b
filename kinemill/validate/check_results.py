"""Results of checks as every stage shows them, and those that polars can answer by itself.

Great Expectations passes an empty table and a column of NaN, so whether there are rows, and whether
they are numbers, is settled here before it is asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.task import CHECKS, Task
from kinemill.validate import cross_recording_checks, nonfinite
from kinemill.validate.apply_checks import TOO_SHORT

NO_EPISODE, NOT_RUN = "there is no episode to look at", "not asked"
MAX_LISTED = 20  # failing episodes or stretches that are listed with a check


@dataclass(frozen=True)
class CheckResult:
    """One answer: did what was looked at pass, does a failure block the chain, with numbers."""

    name: str
    passed: bool
    blocking: bool
    description: str
    values: dict[str, Any] = field(default_factory=dict[str, Any])

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return dict(vars(self))


@dataclass(frozen=True)
class PlannedCheck:
    """A question that `validate` answers for a task, and whether a no blocks the chain."""

    name: str
    blocking: bool
    description: str

    def make_result(self, passed: bool, values: Mapping[str, Any]) -> CheckResult:
        """Return the answer to this question."""
        return CheckResult(self.name, passed, self.blocking, self.description, dict(values))


_BLOCKING = {
    "accepted_not_empty": "at least one episode was accepted",
    "quarantined_share": "recordings with nothing accepted are no more than the task allows",
    "row_counts": "every accepted episode has as many rows as the task asks for",
    "no_nulls": "no accepted episode has a missing value",
    "finite_values": "no accepted episode has NaN or an infinite value",
    "schema_episodes": "accepted episodes have names of their own and sane lengths",
}
_PHYSICS = {
    nonfinite.NAME: "no recording holds NaN or infinite values",
    TOO_SHORT: "no piece was too short to keep",
}


def is_skipped(values: Mapping[str, Any]) -> bool:
    """Return whether a check failed only because one before it left nothing to look at."""
    return str(values.get("error", "")).startswith((NO_EPISODE, NOT_RUN))


def physical_names() -> list[str]:
    """Return the names under which rows can be dropped: every check of a recording, in order."""
    return [nonfinite.NAME, *CHECKS, TOO_SHORT]


def _summary_line(name: str) -> str:
    """Return what a physical check says of itself first."""
    return (CHECKS[name].__doc__ or name).partition("\n")[0].replace("`", "")


def planned_checks(task: Task) -> dict[str, PlannedCheck]:
    """Return every check that `validate` answers for this task, by name, in order.

    Those of what was accepted, and of the quarantined share, block the chain. Those of what was
    found on the way there tell, and do not block: the faulty rows are out of the chain already.
    """
    channels = {f"schema_{name}": f"{name} is within its bounds" for name in task.columns}
    blocking = {**_BLOCKING, **channels}
    physics = {
        f"physics_{name}": _PHYSICS.get(name) or _summary_line(name) for name in physical_names()
    }
    telling = {**physics, **cross_recording_checks.CHECKS}
    return {
        **{name: PlannedCheck(name, True, text) for name, text in blocking.items()},
        **{name: PlannedCheck(name, False, text) for name, text in telling.items()},
    }


def sound_rows(task: Task, table: pl.DataFrame) -> list[CheckResult]:
    """Ask of accepted episodes, before Great Expectations is: enough rows, no null, no NaN.

    Args:
        task: says how many rows are enough.
        table: one row an accepted episode, as `kinemill.validate.table.summarize` makes it.
    """
    least = task.validation.min_steps
    # By numpy: polars takes 5 ms to plan expressions about a hundred columns, however few rows.
    numbers = table.select(pl.exclude("episode"))
    values = numbers.cast(pl.Float64).to_numpy()
    empty = np.zeros(values.shape, dtype=np.bool_)
    for column, series in enumerate(numbers):
        if series.null_count():
            empty[:, column] = series.is_null().to_numpy()
    at = {name: column for column, name in enumerate(numbers.columns)}
    lost = [at[f"{name}:nonfinite"] for name in task.columns]
    short = empty[:, at["rows"]] | (values[:, at["rows"]] < least)
    nameless = table["episode"].is_null().to_numpy()
    missing = np.column_stack((empty, nameless, values[:, at["nulls"]] != 0.0))
    wild = ~np.isfinite(values)
    wild[:, lost] |= values[:, lost] != 0.0
    wild &= ~empty
    plans = planned_checks(task)
    return [
        _row_check(plans["row_counts"], table, short, f"at least {least} rows"),
        _row_check(plans["no_nulls"], table, np.logical_or.reduce(missing, axis=1), "no null"),
        _row_check(
            plans["finite_values"], table, np.logical_or.reduce(wild, axis=1), "finite numbers"
        ),
    ]


def _row_check(
    plan: PlannedCheck, table: pl.DataFrame, failing: NDArray[np.bool_], expected: str
) -> CheckResult:
    episodes = [table["episode"][int(row)] for row in np.flatnonzero(failing)]
    values = {
        "episodes": table.height,
        "expected": expected,
        "failed": len(episodes),
        "failing": episodes[:MAX_LISTED],
    }
    if table.is_empty():
        values["error"] = NO_EPISODE
    return plan.make_result(not episodes and not table.is_empty(), values)
