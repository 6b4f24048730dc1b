"""Concurrency pools limit parallel trainings: `gpu`, one slot per GPU, `cpu`, one per two cores.

Only the training step occupies a slot; other stages continue meanwhile. A pool without a limit has
the default of `dagster.yaml`, one slot. Limits that a user sets in Dagster's pages (Deployment,
Concurrency) are kept.
"""

import os
import platform
import sys
from pathlib import Path
from time import sleep
from typing import Any

import dagster as dg

from kinemill.task import Task

GPU = "gpu"
CPU = "cpu"
_DEVICES = Path("/dev")
_TRAINS = "model"  # only this asset uses a slot
_HERE = {"local", "torchrun"}  # other targets have their own queues
_PAUSE = 1.0  # s between two claims of a slot


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


def limits() -> dict[str, int]:
    """Return the number of slots of this machine, by pool."""
    cores = os.cpu_count() or 1
    return {GPU: max(1, gpus()), CPU: max(1, cores // 2)}


def set_limits(instance: dg.DagsterInstance) -> None:
    """Set the pools' limits for this machine, unless a user has set them."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    configured = {pool.name for pool in storage.get_pool_limits() if not pool.from_default}
    for pool, limit in limits().items():
        if pool not in configured:
            storage.set_concurrency_slots(pool, limit)


def sleep_between_claims(instance: dg.DagsterInstance) -> None:
    """Make runs of this process that wait for a slot sleep.

    Dagster's executor waits without a pause (dagster-io/dagster#20367): a waiting run would occupy
    the core on which the other training runs.
    """
    storage: Any = instance.event_log_storage
    if "claim_concurrency_slot" in vars(storage):
        return
    claim = storage.claim_concurrency_slot

    def claim_or_sleep(*slot: Any) -> Any:
        status = claim(*slot)
        if status.is_claimed:
            return status
        sleep(_PAUSE)
        return status.with_sleep_interval(0.0)

    vars(storage)["claim_concurrency_slot"] = claim_or_sleep
