"""Compute targets of trainings, one file per target, selected by `compute.type` of a task.

A target is a callable `(context, job, settings, tracker) -> None`. It runs
`resources.training_process` on the job file until it ends, streams its log lines to Dagster and its
records to the tracker, and raises `TrainingFailed` after a failure, or `ProcessLost` if a retry can
succeed. Its settings are a class of `kinemill.task.compute`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from kinemill.registry import Registry
from kinemill.task.protocols import Tracker

Target = Callable[  # Any: a subclass of `Compute`
    [dg.AssetExecutionContext, Path, Any, Tracker], None
]

COMPUTE: Registry[Target] = Registry("kinemill_dagster.resources.compute", "compute target")
