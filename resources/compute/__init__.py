"""Where training runs, one file a target; `compute.type` of a task chooses.

A target is a callable `(context, job, settings) -> None` that runs `resources.child` on the job
file until it ends, with live lines in Dagster, and raises `TrainingFailed` if it did not end well,
`ProcessLost` if another attempt may do. Its settings are those of the task's `compute`, a class of
`kinemill.spec.compute`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from kinemill.registry import Registry

Target = Callable[[dg.AssetExecutionContext, Path, Any], None]  # Any: its own class of `Compute`

COMPUTE: Registry[Target] = Registry("resources.compute", "compute target")
