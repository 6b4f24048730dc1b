"""The job that brings a range of recordings to a task's present rules."""

import dagster as dg

from kinemill_dagster.pipelines.backfill import backfill
from tests.pipelines.conftest import TASK


def run(instance, **config):
    return backfill.execute_in_process(
        instance=instance,
        run_config={"ops": {"recordings_in_range": {"config": {"task": TASK, **config}}}},
        raise_on_error=False,
    )


def metadata_of(result) -> dict[str, int]:
    (event,) = [event for event in result.all_events if event.event_type_value == "STEP_OUTPUT"]
    return {key: actual.value for key, actual in event.step_output_data.metadata.items()}


def test_backfill_of_a_known_range_runs_no_stage(copy):
    with dg.instance_for_test() as instance:
        result = metadata_of(run(instance))
    assert result["recordings"] >= 2
    assert (result["read"], result["evaluated"]) == (0, 0)


def test_backfill_of_an_empty_range_fails_with_the_reason(copy):
    with dg.instance_for_test() as instance:
        result = run(instance, match=["nothing*"])
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "names no recording" in failure.step_failure_data.error.cause.message
