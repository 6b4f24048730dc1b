"""The job that searches for settings, and the command: the same search."""

from pathlib import Path

import dagster as dg
import pytest

from kinemill.errors import BadInput
from kinemill.register import list_versions
from kinemill.selection.tune import list_trials
from kinemill.selection.tune.search import folder_of, read_search
from kinemill.task.protocols import NullReporter
from kinemill.tracking import open_tracking
from kinemill_dagster.pipelines.tune import TuneRequest, tune, tune_task
from tests.pipelines.conftest import TASK

SPACE = {"learn": {"optimizer": {"lr": {"range": [1e-4, 1e-2], "log": True}}}}


def run(instance, **config):
    return tune.execute_in_process(
        instance=instance,
        run_config={"ops": {"trials": {"config": {"task": TASK, **config}}}},
        raise_on_error=False,
    )


def message(result) -> dict:
    (event,) = [event for event in result.all_events if event.event_type_value == "STEP_OUTPUT"]
    return {key: actual.value for key, actual in event.step_output_data.metadata.items()}


@pytest.mark.ci
def test_tune_job_begins_with_the_registered_model(copy):
    """The task's own settings are the first trial; the chain has trained that model already."""
    with dg.instance_for_test() as instance:
        result = run(instance, trials=1, register_best=False)
    actual = message(result)
    assert (actual["trials"], actual["settings"], actual["version"]) == (1, {}, 0)
    search = read_search(folder_of(copy.home, actual["study"]))
    (line,) = list_trials(search)
    assert line.facts["cached"]
    assert line.error == actual["error"]
    assert Path(actual["report"]).is_file()


@pytest.mark.slow
def test_best_trial_becomes_a_version_with_its_model(copy):
    previous = len(list_versions(TASK, copy.home).versions)
    changed = {"tune.space": SPACE, "learn.steps": 30}
    with dg.instance_for_test() as instance:
        result = run(instance, trials=2, overrides=changed)
    actual, versions = message(result), list_versions(TASK, copy.home).versions
    assert (actual["trials"], actual["failed"]) == (2, 0)
    assert (len(versions), versions[0].version) == (previous + 1, actual["version"])
    version = open_tracking(copy.home).client.get_model_version(TASK, str(actual["version"]))
    trials = list_trials(read_search(folder_of(copy.home, actual["study"])))
    assert version.run_id in {line.run for line in trials}
    again = tune_task(TASK, changed, TuneRequest(trials=2, register=False), NullReporter())
    assert (again["study"], again["best"]["value"]) == (actual["study"], actual["error"])
    assert "version" not in again


def test_tune_job_with_bad_input_is_refused_at_its_start(copy):
    with dg.instance_for_test() as instance:
        result = run(instance, overrides={"tune.space": {"lern": 1}})
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "tune.space.lern: cannot be searched" in str(failure.step_failure_data.error.cause)
    with pytest.raises(BadInput, match="trials: 0"):
        TuneRequest(trials=0)
