"""Schema of accepted episodes in Great Expectations: one suite, generated from the task.

It looks at the table of `kinemill.validate.table`, one row an episode, in float64 (float32 costs it
ten times as much), and only after `sound_rows` passed, because it passes an empty table and a
column of NaN. Means and deviations have no bounds: if values are within limits, so are they.
Every bound is two-sided and finite: a one-sided one passes infinity. No Data Docs: they fetch
scripts and a logo from the network when looked at.
"""

import importlib
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from threading import Lock
from types import ModuleType
from typing import Any

import polars as pl

from kinemill.store import Json
from kinemill.task import Task
from kinemill.task.channels import USUAL
from kinemill.validate.check_results import MAX_LISTED, NOT_RUN, CheckResult, planned_checks

MANY = 1e9  # rows; 115 days at 100 Hz
EPISODE = "episode"  # column with the names


@dataclass(frozen=True)
class Bound:
    """Bounds of one column of the table, both ends included."""

    check: str
    column: str
    low: float
    high: float

    def holds(self, row: Mapping[str, str | float | None]) -> bool:
        """Return whether a row of the table keeps the bound; NaN, or nothing, does not."""
        value = row[self.column]
        return isinstance(value, float) and self.low <= value <= self.high


@dataclass(frozen=True)
class BoundResult:
    """Result of one bound in Great Expectations: failing (episode, value), or the exception."""

    bound: Bound
    passed: bool
    failed: int = 0
    failing: list[tuple[str, float | str]] = field(default_factory=list[tuple[str, float | str]])
    error: str | None = None


_LOCK = Lock()  # Great Expectations has one context at a time, and that one table
UNIQUE = Bound("schema_episodes", EPISODE, 0.0, 0.0)


def bounds_of(task: Task) -> list[Bound]:
    """Return the bounds that the task implies for its table."""
    least, most = float(task.validation.min_steps), MANY
    rows = "schema_episodes"
    bounds = [
        Bound(rows, "rows", least, most),
        Bound(rows, "duration_s", least * task.dt * (1 - 1e-9), most * task.dt),
        Bound(rows, "nulls", 0.0, 0.0),
    ]
    return [*bounds, *(bound for name in task.columns for bound in _channel(task, name))]


def _channel(task: Task, name: str) -> Iterable[Bound]:
    channel, check = task.channels[name], f"schema_{name}"
    low, high = channel.limits or (-USUAL, USUAL)
    jumps: dict[str, float] = getattr(getattr(task.validation, "max_jump", None), "bounds", {})
    jump = jumps.get(name, math.pi if channel.kind == "angle" else high - low)
    yield Bound(check, f"{name}:min", low, high)
    yield Bound(check, f"{name}:max", low, high)
    yield Bound(check, f"{name}:max_jump", 0.0, jump * (1 + 1e-6))


def schema_checks(task: Task, table: pl.DataFrame) -> list[CheckResult]:
    """Validate a table that `sound_rows` passed with Great Expectations; one result per channel."""
    results = validate_table(table, bounds_of(task))
    groups: dict[str, list[BoundResult]] = {}
    for result in results:
        groups.setdefault(result.bound.check, []).append(result)
    plans = planned_checks(task)
    return [
        plans[name].make_result(all(item.passed for item in group), _values(group, table.height))
        for name, group in groups.items()
    ]


def skipped_checks(task: Task, why: str) -> list[CheckResult]:
    """Return the results of a schema that could not be evaluated: failed."""
    names = dict.fromkeys(bound.check for bound in bounds_of(task))
    plans = planned_checks(task)
    return [plans[name].make_result(False, {"error": f"{NOT_RUN}: {why}"}) for name in names]


def _values(group: list[BoundResult], episodes: int) -> Json:
    failing = [
        {
            "episode": episode,
            "column": result.bound.column,
            "value": value,
            "expected": f"{result.bound.low:g} to {result.bound.high:g}",
        }
        for result in group
        for episode, value in result.failing
    ]
    values: dict[str, Any] = {
        "episodes": episodes,
        "expectations": len(group),
        "failed": sum(result.failed for result in group),
        "failing": failing[:MAX_LISTED],
    }
    errors = [f"{item.bound.column}: {item.error}" for item in group if item.error]
    return {**values, "error": "; ".join(errors)} if errors else values


def validate_table(table: pl.DataFrame, bounds: list[Bound]) -> list[BoundResult]:
    """Let Great Expectations compare `table` with `bounds`, and look for episodes named twice.

    First evaluates all bounds in one expectation per end, because each expectation costs 4 ms for
    any content. Only if that fails, evaluates the bounds one by one, then the episodes. An
    expectation that raised has failed, with its own message; so has one that gave no answer.
    """
    with _LOCK:
        return _validate_table(table, bounds)


def _validate_table(table: pl.DataFrame, bounds: list[Bound]) -> list[BoundResult]:
    if _all_hold(table, bounds):
        return [BoundResult(bound, passed=True) for bound in [*bounds, UNIQUE]]
    batch, every = _batch(table), [*bounds, UNIQUE]
    results = _validate_bounds(batch, every, {"result_format": "BOOLEAN_ONLY"})
    broken = [bound for bound in every if not results[bound].passed]
    if broken:
        detail = {"result_format": "SUMMARY", "unexpected_index_column_names": [EPISODE]}
        results |= _validate_bounds(batch, broken, detail)
    return [results[bound] for bound in every]


def _all_hold(table: pl.DataFrame, bounds: list[Bound]) -> bool:
    """Return whether every value is within its bounds and every episode name is unique.

    The table is turned so that a row holds one value with its bounds: a comparison of columns then
    is one of all bounds, each with its own. Missing values and non-numbers fail.
    """
    columns = {bound.column for bound in bounds}
    if len(columns) < len(bounds) or not columns <= set(table.columns):
        return False
    gx, kinds = _great_expectations()
    low, high = ({bound.column: getattr(bound, end) for bound in bounds} for end in ("low", "high"))
    turned = table.unpivot(list(low), index=EPISODE, variable_name="column").with_columns(
        pl.col("column").replace_strict(low, return_dtype=pl.Float64).alias("low"),
        pl.col("column").replace_strict(high, return_dtype=pl.Float64).alias("high"),
    )
    at_least = kinds.ExpectColumnPairValuesAToBeGreaterThanB
    expectations = [
        at_least(column_A="value", column_B="low", or_equal=True, ignore_row_if="neither"),
        at_least(column_A="high", column_B="value", or_equal=True, ignore_row_if="neither"),
        kinds.ExpectCompoundColumnsToBeUnique(
            column_list=[EPISODE, "column"], ignore_row_if="never"
        ),
    ]
    suite = gx.ExpectationSuite(name="all", expectations=expectations)
    return bool(
        _batch(turned).validate(suite, result_format={"result_format": "BOOLEAN_ONLY"}).success
    )


def _great_expectations() -> tuple[ModuleType, ModuleType]:
    """Import Great Expectations, and its expectations."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when the package is imported
    names = ("great_expectations", "great_expectations.expectations")
    gx, kinds = (importlib.import_module(name) for name in names)
    return gx, kinds


def _batch(table: pl.DataFrame) -> Any:
    return _batches().get_batch({"dataframe": table.to_pandas()})


@cache
def _batches() -> Any:
    """Return what makes batches of tables; its context is spelled as YAML three times, in 15 ms."""
    gx, _ = _great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # else one on stderr for each suite
    asset = context.data_sources.add_pandas("episodes").add_dataframe_asset("table")
    return asset.add_batch_definition_whole_dataframe("all")


def _validate_bounds(batch: Any, bounds: list[Bound], form: Json) -> dict[Bound, BoundResult]:
    """Return the result of bounds on a batch of Great Expectations, in one of its formats."""
    gx, kinds = _great_expectations()
    expectations = [
        kinds.ExpectColumnValuesToBeUnique(column=EPISODE)
        if item.column == EPISODE
        else kinds.ExpectColumnValuesToBeBetween(
            column=item.column, min_value=item.low, max_value=item.high
        )
        for item in bounds
    ]
    suite = gx.ExpectationSuite(name="task", expectations=expectations)
    response = batch.validate(suite, result_format=form)
    by_column = {item.expectation_config.kwargs["column"]: item for item in response.results}
    return {bound: _bound_result(bound, by_column.get(bound.column)) for bound in bounds}


def _bound_result(bound: Bound, result: Any) -> BoundResult:
    if result is None:
        return BoundResult(bound, passed=False, error="Great Expectations gave no answer")
    error = _message(result.exception_info)
    if error:
        return BoundResult(bound, passed=False, error=error)
    details: dict[str, Any] = result.result
    failing: list[tuple[str, float | str]] = [
        (str(item["episode"]), _plain(item[bound.column]))
        for item in details.get("partial_unexpected_index_list") or []
    ]
    failed = int(details.get("unexpected_count") or 0)
    return BoundResult(bound, bool(result.success), failed, failing)


def _plain(value: float | str) -> float | str:
    return value if isinstance(value, str) else float(value)


def _message(info: Json) -> str | None:
    """Return the message of an expectation that raised: its own, or those of its metrics."""
    if not info:
        return None
    parts = [info] if "raised_exception" in info else list(info.values())
    raised = [str(part["exception_message"]) for part in parts if part.get("raised_exception")]
    return "; ".join(dict.fromkeys(raised)) or None
