"""Compute targets of trainings, one file per target, selected by `compute.type` of a task.

A target is a callable `(context, job, settings) -> None`. It runs `resources.training_process` on
the job file until it ends, streams its log lines to Dagster, and raises `TrainingFailed` after a
failure, or `ProcessLost` if a retry can succeed. Its settings are a class of
`kinemill.task.compute`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from kinemill.registry import Registry

Target = Callable[[dg.AssetExecutionContext, Path, Any], None]  # Any: a subclass of `Compute`

COMPUTE: Registry[Target] = Registry("kinemill_dagster.resources.compute", "compute target")
