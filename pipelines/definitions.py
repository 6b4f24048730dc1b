"""What Dagster loads: the assets of every task, one job a chain, and what starts it.

Importing this reads the task files and no more: torch, MLflow and Great Expectations are imported
by the stage that uses them. A task file with mistakes becomes one asset of its own that shows what
is wrong; the other tasks load as ever.
"""

from pathlib import Path
from typing import Any

import dagster as dg

from kinemill.errors import KinemillError
from kinemill.process import tune_process
from kinemill.task import Task, list_tasks, load_task
from pipelines.chain import definitions_of

_log = dg.get_dagster_logger("kinemill")


def broken(path: Path, error: KinemillError) -> dg.AssetsDefinition:
    """Make the asset that stands for a task file with mistakes; running it tells them again."""

    @dg.asset(
        key=[path.stem, "task_file"],
        group_name="broken_tasks",
        kinds={"yaml"},
        description=f"This task file cannot be used:\n\n```\n{error}\n```",
        metadata={"file": dg.MetadataValue.path(str(path))},
    )
    def task_file() -> dg.MaterializeResult[Any]:
        load_task(path)
        return dg.MaterializeResult(metadata={"next": "mended: reload the code location"})

    return task_file


def build() -> dg.Definitions:
    """Read the task files and make the definitions of all of them."""
    tasks: list[Task] = []
    assets: list[dg.AssetsDefinition] = []
    for path in list_tasks().values():
        try:
            tasks.append(load_task(path))
        except KinemillError as error:
            _log.warning("%s", error)
            assets.append(broken(path, error))
    return definitions_of(tasks, assets)


tune_process()  # the process is Dagster's: a code server, or a worker of one run
defs = build()
