"""A run that waits for a slot of a pool sleeps."""

import threading

import dagster as dg

from kinemill_dagster.resources.pools import sleep_between_claims

POOL = "cpu"


@dg.op(pool=POOL)
def train():
    return 1


@dg.job
def training():
    train()


def test_run_that_waits_for_a_slot_sleeps_between_its_claims(tmp_path, monkeypatch):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        storage = instance.event_log_storage
        storage.set_concurrency_slots(POOL, 1)
        assert storage.claim_concurrency_slot(POOL, "another", "train").is_claimed
        pauses = []

        def pause(seconds):
            pauses.append(seconds)
            if len(pauses) == 3:
                storage.free_concurrency_slots_for_run("another")

        monkeypatch.setattr("kinemill_dagster.resources.pools.sleep", pause)
        late = threading.Timer(30.0, storage.free_concurrency_slots_for_run, ["another"])
        late.start()
        sleep_between_claims(instance)
        assert training.execute_in_process(instance=instance).success
        late.cancel()
    assert pauses == [1.0] * 3
