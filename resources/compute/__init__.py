"""Where training runs, one file a target; `compute.type` of a task chooses.

A target is a callable `(context, job, max_runtime) -> None` that runs `resources.compute.child` on
the job file until it ends, with live lines in Dagster, and raises `TrainingFailed` if it did not
end well.
"""

from collections.abc import Callable
from pathlib import Path

import dagster as dg

from kinemill.registry import Registry

Target = Callable[[dg.AssetExecutionContext, Path, float], None]

COMPUTE: Registry[Target] = Registry("resources.compute", "compute target")
