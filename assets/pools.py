"""Pools: trainings that share a machine take turns, those on its GPUs and those on its cores."""

from kinemill.task import Task
from resources.devices import gpus

GPU, CPU = "gpu", "cpu"
_TRAINS = "model"  # the one asset that takes a place
_HERE = {"local", "torchrun"}  # other targets have queues of their own


def pool_of(task: Task, asset: str) -> str | None:
    """Return the pool in which an asset of a task waits for its turn, or None.

    It goes by the task file: a device chosen in the launchpad comes too late for that.
    """
    if asset != _TRAINS or task.compute.type not in _HERE:
        return None
    device = task.learn.device
    return CPU if device == "cpu" or (device == "auto" and gpus() == 0) else GPU
