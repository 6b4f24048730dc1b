"""The asset for an invalid task file: it shows the errors in the catalog."""

from pathlib import Path
from typing import Any

import dagster as dg

from kinemill.errors import KinemillError
from kinemill.task import load_task
from kinemill.task.component_file import name_of


def broken_task(path: Path, error: KinemillError) -> dg.AssetsDefinition:
    """Return the asset for an invalid task file; materializing it shows the errors again."""

    @dg.asset(
        key=[name_of(path), "task_file"],
        group_name="broken_tasks",
        kinds={"yaml"},
        description=f"This task file cannot be used:\n\n```\n{error}\n```",
        metadata={"file": dg.MetadataValue.path(str(path))},
    )
    def task_file() -> dg.MaterializeResult[Any]:
        load_task(path)
        return dg.MaterializeResult(metadata={"next": "fixed: reload the code location"})

    return task_file
