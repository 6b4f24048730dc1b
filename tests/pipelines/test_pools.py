"""A run that waits for a slot of a pool sleeps."""

import threading

import dagster as dg
from dagster._core.execution.plan.active import ActiveExecution

from kinemill_dagster.pipelines.pools import sleep_between_claims

POOL = "cpu"


@dg.op(pool=POOL)
def train():
    return 1


@dg.job
def training():
    train()


def test_run_that_waits_for_a_slot_sleeps_until_it_is_free(tmp_path, monkeypatch):
    sleep_between_claims()
    views = []
    ask = ActiveExecution.get_next_step
    monkeypatch.setattr(
        ActiveExecution, "get_next_step", lambda self: (views.append(1), ask(self))[1]
    )
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        storage = instance.event_log_storage
        storage.set_concurrency_slots(POOL, 1)
        assert storage.claim_concurrency_slot(POOL, "another", "train").is_claimed
        end = threading.Timer(2.0, lambda: storage.free_concurrency_slots_for_run("another"))
        end.start()
        assert training.execute_in_process(instance=instance).success
        end.join()
    assert len(views) < 20  # thousands without a sleep
