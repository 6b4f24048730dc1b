"""Checks of accepted episodes: finite rows, and the checkpoint of Great Expectations.

The home is a file context: `gx/` holds a suite, a validation definition and a checkpoint for each
task, which users can extend, and `gx/uncommitted/` the results and Data Docs. A run takes 10 ms for
each expectation, for any number of episodes, and 0.3 s for Data Docs.

Each expectation is about one episode, except that episodes have unique names. A name begins with
the content hash of its recording, so it is unique if it is so within its recording, and if no two
recordings share the first 16 characters. So only episodes of changed recordings are checked, and
failures are stored with their recording. Episodes that fail an expectation of a user are dropped.
"""

import importlib
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl

from kinemill.errors import BadInput, join_first
from kinemill.ingest.raw import Reason, reason
from kinemill.store import Home, Json, read_json
from kinemill.store.locks import lock
from kinemill.task import Task
from kinemill.task.expectation import Expectation
from kinemill.validate.check_results import (
    MAX_LISTED,
    CheckResult,
    planned_checks,
    sound_rows,
)
from kinemill.validate.evaluation import BrokenRule, NewResult, drop_episodes, rows_of
from kinemill.validate.expectations import (
    EPISODE,
    GENERATED,
    NO_FINDINGS,
    ORIGIN,
    UNIQUE,
    bounds_of,
    comparable,
    skipped_checks,
    spell,
    suite_file,
    suite_of,
)

RECORDING = "recording"  # column with the names of logs
KEPT_RESULTS = 5  # stored results of each task; the index page of Data Docs reads them all
_SOURCE = "kinemill"
_ASSET = "episodes"
_BATCH = "new"
_LOCK = Lock()  # Great Expectations has one context at a time


@dataclass(frozen=True)
class Failure:
    """An expectation that failed, and the rows that fail it: the episode, its recording, values."""

    expectation: Json
    rows: list[Json]

    @property
    def is_critical(self) -> bool:
        """Whether episodes that fail it are not accepted."""
        return self.expectation.get("severity", "critical") == "critical"


def data_docs(home: Home) -> Path:
    """Return the index page of Data Docs, which exists after the first validation."""
    return home.root / "gx" / "uncommitted" / "data_docs" / "local_site" / "index.html"


def run_checkpoint(task: Task, home: Home, table: pl.DataFrame) -> list[Failure]:
    """Validate a table, one row an episode, by the suite of the task; return what failed.

    Raises:
        BadInput: The suite or another file of the context is damaged, or an expectation cannot be
            evaluated.
    """
    suite = suite_of(task, home)
    with _LOCK, lock(home, "great-expectations"):
        gx = _import()
        try:
            checkpoint = _checkpoint(gx, task, home, suite)
            _remove_old_results(task, home)
            frame = table.to_pandas()
            result = checkpoint.run(batch_parameters={"dataframe": frame})
        except (gx.exceptions.GreatExpectationsError, ValueError) as error:
            raise BadInput(
                home.root / "gx",
                f"Great Expectations cannot validate {task.name} ({error})",
                fix=f"correct the files of {task.name} there, or move them away; the next "
                "validation makes new ones",
            ) from error
    (validation,) = result.run_results.values()
    return [_failure(task, home, result) for result in validation.results if not result.success]


def _failure(task: Task, home: Home, result: Any) -> Failure:
    """Return a failed expectation.

    Raises:
        BadInput: It could not be evaluated.
    """
    item: Json = result.expectation_config.to_json_dict()
    info: Json = result.exception_info or {}
    parts = [info] if "raised_exception" in info else list(info.values())
    raised = [str(part["exception_message"]) for part in parts if part.get("raised_exception")]
    if raised:
        raise BadInput(
            suite_file(home, task.name),
            f"{spell(item)} cannot be evaluated ({join_first([*dict.fromkeys(raised)], 3)})",
            fix="correct it there, or in `validate.expectations` of the task file",
        )
    listed: list[Json] = result.result.get("unexpected_index_list") or []
    return Failure(item, [{key: _plain(value) for key, value in row.items()} for row in listed])


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _import() -> ModuleType:
    """Import Great Expectations and the expectations of kinemill, in 3 s."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when the package is imported
    importlib.import_module("kinemill.validate.physical_expectation")
    return importlib.import_module("great_expectations")


def _checkpoint(gx: ModuleType, task: Task, home: Home, suite: list[Json]) -> Any:
    """Return the checkpoint of a task, with the present suite; both are made if necessary."""
    home.make()
    context = gx.get_context(mode="file", project_root_dir=home.root)
    if _SOURCE not in context.data_sources.all():
        context.variables.progress_bars = {"globally": False}  # else one on stderr for each suite
        context.variables.analytics_enabled = False
        context.variables.save()
        asset = context.data_sources.add_pandas(_SOURCE).add_dataframe_asset(_ASSET)
        asset.add_batch_definition_whole_dataframe(_BATCH)
    path = suite_file(home, task.name)
    if not path.is_file() or comparable(read_json(path)["expectations"]) != comparable(suite):
        context.suites.add_or_update(gx.ExpectationSuite(name=task.name, expectations=suite))
    if not (home.root / "gx" / "checkpoints" / f"{task.name}.json").is_file():
        _add_checkpoint(gx, context, task, home)
    return context.checkpoints.get(task.name)


def _add_checkpoint(gx: ModuleType, context: Any, task: Task, home: Home) -> None:
    """Add the validation definition and the checkpoint of a task; users can add actions to it."""
    # Not `add_or_update`, which compares all expectations with one another: 2 s of a new home.
    definitions = context.validation_definitions
    if not (home.root / "gx" / "validation_definitions" / f"{task.name}.json").is_file():
        asset = context.data_sources.get(_SOURCE).get_asset(_ASSET)
        batch = asset.get_batch_definition(_BATCH)
        suite = context.suites.get(task.name)
        definitions.add(gx.ValidationDefinition(name=task.name, data=batch, suite=suite))
    checkpoint = gx.Checkpoint(
        name=task.name,
        validation_definitions=[definitions.get(task.name)],
        actions=[gx.checkpoint.UpdateDataDocsAction(name="update_data_docs")],
        result_format={
            "result_format": "COMPLETE",
            "unexpected_index_column_names": [RECORDING, EPISODE],
        },
    )
    context.checkpoints.add(checkpoint)


def _remove_old_results(task: Task, home: Home) -> None:
    """Delete all but the last stored results of a task, with their pages."""
    uncommitted = home.root / "gx" / "uncommitted"
    for folder in (uncommitted / "validations", data_docs(home).parent / "validations"):
        runs = sorted((folder / task.name).glob("*/*/"), key=lambda path: path.name)
        for path in runs[: max(0, len(runs) + 1 - KEPT_RESULTS)]:
            shutil.rmtree(path)


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
    columns: dict[str, Any] = {
        RECORDING: np.repeat([evaluated.row.name for evaluated in checked], counts)
    }
    for name in names:
        check = name.removeprefix("physics_")
        findings = [float(evaluated.result.findings.get(check, 0)) for evaluated in checked]
        columns[name] = np.repeat(findings, counts)
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
