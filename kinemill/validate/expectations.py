"""Suite of Great Expectations of a task: bounds and physical checks, and what users added.

Users add expectations in the task file (`validate.expectations`) or in the suite file
`gx/expectations/<task>.json` of the home. Each is about one episode, a row of the table of
`kinemill.validate.table`. Generated bounds are two-sided and finite: a one-sided one passes
infinity. Means and deviations have none: if values are within limits, so are they.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from kinemill.errors import BadInput
from kinemill.store import Home, Json, digest
from kinemill.task import Task
from kinemill.task.channels import USUAL
from kinemill.task.expectation import Expectation
from kinemill.validate.check_results import NOT_RUN, CheckResult, planned_checks

MOST_ROWS = 1e9  # rows; 115 days at 100 Hz
EPISODE = "episode"  # column with the names
BETWEEN = "expect_column_values_to_be_between"
UNIQUE_VALUES = "expect_column_values_to_be_unique"
NO_FINDINGS = "expect_no_findings"
ORIGIN = "kinemill"
GENERATED = "generated"
TASK_FILE = "task file"  # `meta` of an expectation


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


UNIQUE = Bound("schema_episodes", EPISODE, 0.0, 0.0)


def bounds_of(task: Task) -> list[Bound]:
    """Return the bounds that the task implies for its table."""
    least = float(task.validation.min_steps)
    most = MOST_ROWS
    rows = "schema_episodes"
    bounds = [
        Bound(rows, "rows", least, most),
        Bound(rows, "duration_s", least * task.dt * (1 - 1e-9), most * task.dt),
        Bound(rows, "nulls", 0.0, 0.0),
    ]
    return [*bounds, *(bound for name in task.columns for bound in _channel(task, name))]


def _channel(task: Task, name: str) -> Iterable[Bound]:
    channel = task.channels[name]
    check = f"schema_{name}"
    low, high = channel.limits or (-USUAL, USUAL)
    jumps: dict[str, float] = getattr(getattr(task.validation, "max_jump", None), "bounds", {})
    jump = jumps.get(name, math.pi if channel.kind == "angle" else high - low)
    yield Bound(check, f"{name}:min", low, high)
    yield Bound(check, f"{name}:max", low, high)
    yield Bound(check, f"{name}:max_jump", 0.0, jump * (1 + 1e-6))


def skipped_checks(task: Task, why: str) -> list[CheckResult]:
    """Return the results of a schema that could not be evaluated: failed."""
    names = dict.fromkeys(bound.check for bound in bounds_of(task))
    plans = planned_checks(task)
    return [plans[name].make_result(False, {"error": f"{NOT_RUN}: {why}"}) for name in names]


def suite_of(task: Task, home: Home) -> list[Json]:
    """Return all expectations of a task as a suite file lists them, generated ones first.

    Raises:
        BadInput: The suite file is damaged, or an expectation of a user is wrong.
    """
    plans = planned_checks(task)
    meta = {ORIGIN: GENERATED}
    generated = [
        _item(
            BETWEEN, {"column": bound.column, "min_value": bound.low, "max_value": bound.high}, meta
        )
        for bound in bounds_of(task)
    ]
    generated.append(_item(UNIQUE_VALUES, {"column": EPISODE}, meta))
    generated += [
        {**_item(NO_FINDINGS, {"column": name}, meta), "description": f"{name}: {plan.description}"}
        for name, plan in plans.items()
        if name.startswith("physics_")
    ]
    added = [
        _item(expectation.type, expectation.arguments, {ORIGIN: TASK_FILE})
        for expectation in task.validation.expectations
    ]
    return [*generated, *added, *_checked(task, suite_file(home, task.name))]


def _item(type_: str, arguments: Json, meta: Json) -> Json:
    """Return an expectation as a suite file lists it; some arguments are its attributes."""
    kwargs = {key: value for key, value in arguments.items() if key not in _ATTRIBUTES}
    item = {"type": type_, "kwargs": kwargs, "meta": {**arguments.get("meta", {}), **meta}}
    return item | {key: arguments[key] for key in _ATTRIBUTES - {"meta"} if key in arguments}


_ATTRIBUTES = {"description", "meta", "notes", "severity"}


def suite_file(home: Home, task: str) -> Path:
    """Return the suite file of a task in the file context of the home."""
    return home.root / "gx" / "expectations" / f"{task}.json"


def suite_digest(home: Home, task: str) -> str:
    """Return a digest of the expectations that users added to the suite file; "" for none."""
    path = suite_file(home, task)
    try:
        added = _added(path)
    except BadInput:  # reported by the validation that reads it
        return digest(path.read_text(errors="replace"))
    return digest(comparable(added)) if added else ""


def comparable(suite: list[Json]) -> list[Json]:
    """Return the expectations of a suite without the ids that Great Expectations assigns."""
    keys = ("type", "kwargs", "meta", "description", "notes")
    return [
        {key: item.get(key) or None for key in keys}
        | {"severity": item.get("severity") or "critical"}
        for item in suite
    ]


def _added(path: Path) -> list[Json]:
    """Return the expectations that users added to a suite file.

    Raises:
        BadInput: The file is not a suite.
    """
    if not path.is_file():
        return []
    try:
        listed: list[Json] = json.loads(path.read_bytes())["expectations"]
        return [item for item in listed if ORIGIN not in (item.get("meta") or {})]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            path,
            f"is not a suite of Great Expectations ({type(error).__name__}: {error})",
            expected='JSON with a list "expectations"',
            fix="correct it, or move it away: the next validation generates a new one",
        ) from error


def _checked(task: Task, path: Path) -> list[Json]:
    """Return the expectations that users added to a suite file.

    Raises:
        BadInput: One of them is unknown, or its arguments are wrong.
    """
    added = _added(path)
    channels = {name: task.channels[name] for name in task.columns}
    for item in added:
        where = f"{path}: expectation {item.get('type')!r}"
        try:
            expectation = Expectation(type=item["type"], **item["kwargs"])
        except (KeyError, TypeError, ValidationError) as error:
            fix = "expected keys `type` and `kwargs`"
            raise BadInput(where, f"cannot be read ({error})", fix=fix) from error
        if problems := expectation.problems(channels):
            key, what = problems[0]
            raise BadInput(
                f"{where}, {'.'.join(map(str, key))}", what, fix="correct or remove it in this file"
            )
    return added


def spell(item: Json) -> str:
    """Return the name of an expectation of a suite with its arguments."""
    kwargs: Json = {key: value for key, value in item["kwargs"].items() if key != "batch_id"}
    arguments = ", ".join(f"{key}={value!r}" for key, value in kwargs.items())
    return f"{item['type']}({arguments})"
