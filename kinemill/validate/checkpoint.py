"""Checkpoint of Great Expectations: validates new episodes, stores the results, builds Data Docs.

The home is a file context: `gx/` holds a suite, a validation definition and a checkpoint for each
task, which users can extend, and `gx/uncommitted/` the results and Data Docs. A run takes 10 ms for
each expectation, for any number of episodes, and 0.3 s for Data Docs.
"""

import importlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl

from kinemill.errors import BadInput, join_first
from kinemill.process import deferred_imports
from kinemill.store import Home, Json, read_json
from kinemill.store.locks import lock
from kinemill.task import Task
from kinemill.validate.expectations import EPISODE, comparable, spell, suite_file, suite_of

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
    """Import Great Expectations and the expectations of kinemill, in 2.5 s."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read when the package is imported
    with deferred_imports("altair", "scipy.stats"):  # 0.7 s, for expectations on distributions
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
