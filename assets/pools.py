"""Concurrency pools: limit parallel trainings per machine, separately for GPUs and CPU cores."""

from kinemill.task import Task
from kinemill_dagster.resources.devices import gpus

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
