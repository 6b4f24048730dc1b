"""Concurrency pools limit parallel trainings: `gpu`, one slot per GPU, `cpu`, one per two cores.

Only the training step occupies a slot; other stages continue meanwhile. A pool without a limit has
the default of `dagster.yaml`, one slot. Limits that a user sets in Dagster's pages (Deployment,
Concurrency) are kept.
"""

import os

import dagster as dg

from kinemill_dagster.assets.pools import CPU, GPU, gpus


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
