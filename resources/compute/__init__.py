"""Where training runs, one file a target; `compute.type` of a task chooses.

A target is a callable `(context, job, settings) -> None`. It runs `resources.training_process` on
the job file until it ends, streams its log lines to Dagster, and raises `TrainingFailed` if it
failed, `ProcessLost` if a retry may succeed. Its settings are those of `compute` in the task, a
class of
`kinemill.task.compute`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from kinemill.registry import Registry

Target = Callable[[dg.AssetExecutionContext, Path, Any], None]  # Any: its own class of `Compute`

COMPUTE: Registry[Target] = Registry("kinemill_dagster.resources.compute", "compute target")
