"""Concurrency pools limit parallel trainings: `gpu`, one slot per GPU, `cpu`, one per two cores.

Only the training step occupies a slot; other stages continue meanwhile. A pool without a limit has
the default of `dagster.yaml`, one slot. Limits that a user sets in Dagster's pages (Deployment,
Concurrency) are kept.
"""

import os
import time
from typing import Any

import dagster as dg
from dagster._core.execution.plan import instance_concurrency_context as claims

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


def sleep_between_claims() -> None:
    """Make a run that waits for a slot sleep until its next claim.

    Dagster's own interval is never above 0 (dagster-io/dagster#20367): the waiting run would occupy
    the core on which the other training runs.
    """
    claims.InstanceConcurrencyContext.interval_to_next_pending_claim_check = _interval


def _interval(self: Any) -> float:
    """Return the time until the next claim, s."""
    moments = self._pending_timeouts.values()
    return max(0.0, min(moments, default=0.0) - time.time())
