"""Concurrency pools: limit parallel trainings per machine, separately for GPUs and CPU cores."""

from kinemill.task import Task
from kinemill_dagster.resources.devices import gpus

GPU, CPU = "gpu", "cpu"
_TRAINS = "model"  # the only asset that occupies a slot
_HERE = {"local", "torchrun"}  # other targets have their own queues


def pool_of(task: Task, asset: str) -> str | None:
    """Return the concurrency pool of an asset, or None.

    The task file decides; Dagster resolves pools before it reads the launchpad's overrides.
    """
    if asset != _TRAINS or task.compute.type not in _HERE:
        return None
    device = task.learn.device
    return CPU if device == "cpu" or (device == "auto" and gpus() == 0) else GPU
