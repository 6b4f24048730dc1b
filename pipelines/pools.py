"""Concurrency pools `gpu` and `cpu`: how many trainings run at once on this machine.

Only the step that trains takes a place; the rest of a chain goes on meanwhile. Without a limit of
its own a pool has the default of `dagster.yaml`, one place. Whoever sets another in Dagster's pages
(Deployment, Concurrency) is not overruled.
"""

import os

import dagster as dg

from assets.pools import CPU, GPU
from resources.devices import gpus


def limits() -> dict[str, int]:
    """Return the places that this machine has, by pool."""
    cores = os.cpu_count() or 1
    return {GPU: max(1, gpus()), CPU: max(1, cores // 2)}


def set_limits(instance: dg.DagsterInstance) -> None:
    """Give the pools the limits of this machine where nobody has set others."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    chosen = {pool.name for pool in storage.get_pool_limits() if not pool.from_default}
    for pool, places in limits().items():
        if pool not in chosen:
            storage.set_concurrency_slots(pool, places)
