"""A run that is marked as canceled while its process starts, or begins a step, ends as canceled."""

from types import SimpleNamespace

import dagster as dg
import pytest

from kinemill_dagster.pipelines.executor import Cancellable

EVENTS = [dg.DagsterEventType.ENGINE_EVENT, *2 * [dg.DagsterEventType.STEP_START]]


class Instance:
    """Holds the mark from the `marked`th look for it on."""

    def __init__(self, marked):
        self.views, self.marked, self.canceling = 0, marked, []
        self.event_log_storage = SimpleNamespace(claim_concurrency_slot=None)

    def all_logs(self, run_id, of_type):
        assert (run_id, of_type) == ("r", dg.DagsterEventType.RUN_CANCELED)
        self.views += 1
        return ["canceled"] if self.views > self.marked else []

    def report_run_canceling(self, run):
        self.canceling.append(run.run_id)


def executed(marked):
    """Return the events that came, whether the run was interrupted, and the instance."""
    events = [SimpleNamespace(event_type=kind) for kind in EVENTS]
    plain = SimpleNamespace(execute=lambda *_: iter(events))
    instance, observed = Instance(marked), []
    context = SimpleNamespace(instance=instance, dagster_run=SimpleNamespace(run_id="r"))
    try:
        for event in Cancellable(plain).execute(context, None):
            observed.append(event.event_type)
    except dg.DagsterExecutionInterruptedError:
        return observed, instance
    return observed, None


@pytest.mark.parametrize(("marked", "count"), [(0, 0), (1, 2), (2, 3)])
def test_canceled_run_ends_at_the_next_check(marked, count):
    observed, instance = executed(marked)
    assert observed == EVENTS[:count]
    assert instance.canceling == ["r"]  # so that Dagster ends it as canceled, not as failed


def test_run_without_cancellation_completes():
    assert executed(marked=3) == (EVENTS, None)
