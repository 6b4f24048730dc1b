"""Concurrency pools limit parallel trainings: `gpu`, one slot per GPU, `cpu`, one per two cores.

Only the training step occupies a slot; other stages continue meanwhile. A pool without a limit has
the default of `dagster.yaml`, one slot. Limits that a user sets in Dagster's pages (Deployment,
Concurrency) are kept.
"""

import os
from time import sleep
from typing import Any

import dagster as dg

from kinemill_dagster.assets.pools import CPU, GPU, gpus

_PAUSE = 1.0  # s between two claims of a slot


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
