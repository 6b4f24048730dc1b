"""Concurrency pools: limit parallel trainings per machine, separately for GPUs and CPU cores."""

import os
import platform
import sys
from pathlib import Path

from kinemill.task import Task

_DEVICES = Path("/dev")
GPU = "gpu"
CPU = "cpu"
_TRAINS = "model"  # only this asset uses a slot
_HERE = {"local", "torchrun"}  # other targets have their own queues


def pool_of(task: Task, asset: str) -> str | None:
    """Return the concurrency pool of an asset, or None.

    It depends on the task file, because Dagster resolves pools before the launchpad's overrides.
    """
    if asset != _TRAINS or task.compute.type not in _HERE:
        return None
    device = task.learn.device
    return CPU if device == "cpu" or (device == "auto" and gpus() == 0) else GPU


def gpus() -> int:
    """Return the number of GPUs for trainings: visible NVIDIA GPUs, or one of Apple."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([name for name in visible.split(",") if name.strip() not in {"", "-1"}])
    if sys.platform == "darwin":
        return int(platform.machine() == "arm64")
    return len(list(_DEVICES.glob("nvidia[0-9]*")))
