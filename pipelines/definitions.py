"""Entry point of Dagster: assets, job, sensors and schedules of every task.

Importing it only reads the task files: torch, MLflow and Great Expectations are imported by the
stages that use them. An invalid task file becomes an asset that shows the errors; the other tasks
load normally.
"""

from pathlib import Path
from typing import Any

import dagster as dg

from kinemill.errors import KinemillError
from kinemill.process import tune_process
from kinemill.task import Task, list_tasks, load_task
from kinemill_dagster.pipelines.chain import definitions_of
from kinemill_dagster.resources.database_listeners import install_listeners

_log = dg.get_dagster_logger("kinemill")


def broken(path: Path, error: KinemillError) -> dg.AssetsDefinition:
    """Return the asset for an invalid task file; materializing it shows the errors again."""

    @dg.asset(
        key=[path.stem, "task_file"],
        group_name="broken_tasks",
        kinds={"yaml"},
        description=f"This task file cannot be used:\n\n```\n{error}\n```",
        metadata={"file": dg.MetadataValue.path(str(path))},
    )
    def task_file() -> dg.MaterializeResult[Any]:
        load_task(path)
        return dg.MaterializeResult(metadata={"next": "fixed: reload the code location"})

    return task_file


def build() -> dg.Definitions:
    """Read the task files and return the definitions of all of them."""
    tasks: list[Task] = []
    assets: list[dg.AssetsDefinition] = []
    for path in list_tasks().values():
        try:
            tasks.append(load_task(path))
        except KinemillError as error:
            _log.warning("%s", error)
            assets.append(broken(path, error))
    return definitions_of(tasks, assets)


tune_process()  # this process is Dagster's: a code server or a run worker
install_listeners()
defs = build()
