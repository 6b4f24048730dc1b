"""Results of the validation checks, and the checks of accepted episodes that polars computes.

Great Expectations passes an empty table and a column of NaN. The checks below therefore run first:
the table has rows, and all values are finite.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from kinemill.store import Json
from kinemill.task import CHECKS, Task
from kinemill.validate import nonfinite
from kinemill.validate.apply_checks import TOO_SHORT

NO_EPISODE = "there is no episode to check"
NOT_RUN = "not run"
MAX_LISTED = 20  # failing episodes or stretches that are listed with a check

# Cross-recording checks: near-duplicates, and outliers of units and actions.
NEAR_DUPLICATES = "near_duplicates"
UNIT_OUTLIERS = "unit_outliers"
ACTION_OUTLIERS = "action_outliers"
_CROSS_RECORDING = {
    NEAR_DUPLICATES: "no two recordings contain the same run",
    UNIT_OUTLIERS: "no recording moves so much more than the others that its units seem wrong",
    ACTION_OUTLIERS: "no recording responds as if actions were late, inverted or exchanged",
}


@dataclass(frozen=True)
class Outlier:
    """A recording that differs from the others: its channels, the finding, and a fix."""

    recording: str
    channels: list[str]
    actual: str
    fix: str = ""

    def to_json(self) -> Json:
        """Return the outlier as an item of a check's `failing` list."""
        item = {"recording": self.recording, "channels": self.channels, "found": self.actual}
        return {**item, "fix": self.fix} if self.fix else item


@dataclass(frozen=True)
class CheckOutcome:
    """Outcome of a check: description of the passing state, numbers, failing items, and a fix."""

    name: str
    passed: bool
    description: str
    values: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class CheckResult(CheckOutcome):
    """Result of a validation check; a blocking check that fails stops the pipeline."""

    blocking: bool = field(kw_only=True)


@dataclass(frozen=True)
class PlannedCheck:
    """A check that validation runs for a task, and whether its failure blocks the pipeline."""

    name: str
    blocking: bool
    description: str

    def make_result(self, passed: bool, values: Mapping[str, object]) -> CheckResult:
        """Return a result of this check."""
        return CheckResult(
            self.name, passed, self.description, dict(values), blocking=self.blocking
        )


_BLOCKING = {
    "accepted_not_empty": "at least one episode was accepted",
    "quarantined_share": "the share of recordings without an accepted episode is allowed",
    "row_counts": "every accepted episode has the minimum number of rows of the task",
    "no_nulls": "no accepted episode has a missing value",
    "finite_values": "no accepted episode has NaN or an infinite value",
    "schema_episodes": "accepted episodes have unique names and valid lengths",
}
_PHYSICS = {
    nonfinite.NAME: "no recording has NaN or infinite values",
    TOO_SHORT: "no piece was too short",
}


def is_skipped(values: Mapping[str, object]) -> bool:
    """Return whether a check failed only because an earlier failure left it nothing to check."""
    return str(values.get("error", "")).startswith((NO_EPISODE, NOT_RUN))


def physical_names(task: Task) -> list[str]:
    """Return the names of the checks that can drop rows of a recording, in order."""
    return [nonfinite.NAME, *CHECKS, *task.validation.checks, TOO_SHORT]


def _summary_line(task: Task, name: str) -> str:
    """Return the first line of the docstring of a physical check."""
    check = task.validation.checks.get(name)
    return (
        ((CHECKS[name] if check is None else type(check)).__doc__ or name)
        .partition("\n")[0]
        .replace("`", "")
    )


def planned_checks(task: Task) -> dict[str, PlannedCheck]:
    """Return every check that validation runs for a task, by name, in order.

    Checks of accepted episodes and of the quarantined share block the pipeline. Findings in
    recordings are warnings: their rows are already left out.
    """
    channels = {f"schema_{name}": f"{name} is within its bounds" for name in task.columns}
    physics = {
        f"physics_{name}": _PHYSICS.get(name) or _summary_line(task, name)
        for name in physical_names(task)
    }
    blocking = {**_BLOCKING, **channels}
    return {
        name: PlannedCheck(name, name in blocking, text)
        for name, text in {**blocking, **physics, **_CROSS_RECORDING}.items()
    }


def row_expectations(task: Task) -> dict[str, str]:
    """Return what `sound_rows` expects, by check."""
    least = task.validation.min_steps
    return {
        "row_counts": f"at least {least} rows",
        "no_nulls": "no null",
        "finite_values": "finite numbers",
    }


def sound_rows(task: Task, table: pl.DataFrame) -> list[CheckResult]:
    """Check accepted episodes: enough rows, no nulls, finite values."""
    lost = pl.col([f"{name}:nonfinite" for name in task.columns]) != 0.0
    failing = {
        "row_counts": pl.col("rows").fill_null(0.0) < task.validation.min_steps,
        "no_nulls": pl.any_horizontal(pl.all().is_null(), pl.col("nulls") != 0.0),
        "finite_values": pl.any_horizontal(~pl.exclude("episode").is_finite(), lost),
    }
    plans = planned_checks(task)
    results = list[CheckResult]()
    for name, expected in row_expectations(task).items():
        episodes = table.filter(failing[name])["episode"].to_list()
        values = {
            "episodes": table.height,
            "expected": expected,
            "failed": len(episodes),
            "failing": episodes[:MAX_LISTED],
        }
        if table.is_empty():
            values["error"] = NO_EPISODE
        results.append(plans[name].make_result(not episodes and not table.is_empty(), values))
    return results
