"""The search of `kinemill model tune`, with the runs of its pipeline."""

import pytest

from kinemill.errors import BadInput, TaskError
from kinemill.register import list_versions
from kinemill.selection.tune import list_trials
from kinemill.selection.tune.search import folder_of, read_search
from kinemill.selection.tune.study import open_study
from kinemill.task.protocols import NullReporter
from kinemill.tracking import open_tracking
from kinemill_dagster.pipelines.tune import TuneRequest, tune_task
from tests.pipelines.conftest import TASK

SPACE = {"learn": {"optimizer": {"lr": {"range": [1e-4, 1e-2], "log": True}}}}


def search_for(overrides, **options):
    return tune_task(TASK, overrides, TuneRequest(**options), NullReporter())


@pytest.mark.slow
def test_search_begins_with_the_registered_model(copy):
    """The task's own settings are the first trial; the chain has trained that model already."""
    actual = search_for({}, trials=1, register=False)
    assert (actual["trials"], actual["best"]["settings"]) == (1, {})
    assert "version" not in actual
    search = read_search(folder_of(copy.home, actual["study"]))
    (line,) = list_trials(search)
    (trial,) = open_study(search, search.task()).trials
    assert trial.user_attrs["facts"]["cached"]
    assert line.error == actual["best"]["value"]
    assert actual["folder"] == str(search.folder)


@pytest.mark.slow
def test_best_trial_becomes_a_version_with_its_model(copy):
    previous = len(list_versions(TASK, copy.home).versions)
    changed = {"tune.space": SPACE, "learn.steps": 30}
    actual = search_for(changed, trials=2)
    versions = list_versions(TASK, copy.home).versions
    assert (actual["trials"], actual["failed"]) == (2, 0)
    assert (len(versions), versions[0].version) == (previous + 1, actual["version"])
    version = open_tracking(copy.home).client.get_model_version(TASK, str(actual["version"]))
    search = read_search(folder_of(copy.home, actual["study"]))
    trials = open_study(search, search.task()).trials
    assert version.run_id in {trial.user_attrs["run"] for trial in trials}
    again = search_for(changed, trials=2, register=False)
    assert (again["study"], again["best"]) == (actual["study"], actual["best"])
    assert "version" not in again


def test_search_with_bad_input_is_refused_at_its_start(copy):
    with pytest.raises(TaskError, match=r"tune\.space\.lern: cannot be searched"):
        search_for({"tune.space": {"lern": 1}})
    with pytest.raises(BadInput, match="trials: 0"):
        TuneRequest(trials=0)
