"""Drift requests a training, once per set of recordings."""

import dagster as dg
import numpy as np
import pytest

from kinemill.control.sim._table import csv
from kinemill.control.sim.cart_pole import CartPole
from kinemill.store import publish_document
from kinemill.task import load_task
from kinemill.validate.drift import latest_drift
from kinemill.validate.drift.documents import DriftCounts, DriftingRecording, LatestDrift
from kinemill_dagster.pipelines.automation.drift import on_drift
from kinemill_dagster.pipelines.chain import chain_job
from kinemill_dagster.resources.tags import WHY
from tests.pipelines.conftest import TASK

A, B = ("a" * 64, "b" * 64)


@pytest.fixture
def results(workspace):
    """Note recordings as drifting, as the check of `episodes` does."""

    def note(*recordings, status="evaluated"):
        drifting = [
            DriftingRecording(recording, f"{recording[0]}.csv", "pole_angle has an error")
            for recording in recordings
        ]
        counts = DriftCounts(recordings=4, episodes=4, drift=len(recordings))
        champion = 3 if status == "evaluated" else None
        latest = LatestDrift(status, counts, drifting, champion)
        publish_document(workspace.home.store / "drift" / f"{TASK}.json", latest)

    return note


def drift(workspace, state=None):
    return on_drift(load_task(TASK), workspace.home, {} if state is None else state)


def test_drifting_recordings_are_requested_once_with_the_reason(workspace, results):
    results(A, B)
    state = {}
    request = drift(workspace, state)
    assert request.asset_selection is None  # the whole chain
    why = (
        "2 new recordings drift from champion version 3: "
        "a.csv: pole_angle has an error; b.csv: pole_angle has an error"
    )
    assert request.tags[WHY] == why
    assert drift(workspace, state) == f"already requested: {why}"
    assert drift(workspace).run_key == request.run_key  # a lost cursor: Dagster starts it once


def test_further_drifting_recordings_are_requested_under_another_key(workspace, results):
    state = {}
    results(A)
    first = drift(workspace, state)
    results(A, B)
    assert drift(workspace, state).run_key != first.run_key


def test_drift_without_a_result_requests_nothing(workspace, results):
    assert drift(workspace) == "no new episode was evaluated yet"
    for status in ("no champion", "not comparable"):
        results(status=status)
        assert drift(workspace) == f"no episode was evaluated: {status}"
    results()
    assert drift(workspace) == "0 of 4 new episodes drift"


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.usefixtures("in_this_process")
def test_changed_robot_is_trained_once_and_its_recordings_request_no_further_run(copy):
    """A log from where things weigh 6 times as much: the check warns, one run is requested."""
    task = load_task(TASK, {"retrain.after_new_recordings": 100})
    job = chain_job(task)
    table = CartPole(gravity=60.0).log(6.0, np.random.default_rng(6))
    (copy.home.logs(TASK) / "odd.csv").write_text(csv(table))
    up_to_dataset = [dg.AssetKey([TASK, asset]) for asset in ("recordings", "episodes", "dataset")]
    state = {}
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(instance=instance, asset_selection=up_to_dataset)
        events = instance.all_logs(done.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        values = [event.dagster_event.asset_check_evaluation_data for event in events]
        (check,) = [check for check in values if check.check_name == "drift"]
        assert not check.passed
        assert check.severity == dg.AssetCheckSeverity.WARN
        assert "odd.csv" in on_drift(task, copy.home, state).tags[WHY]
        assert job.execute_in_process(instance=instance).success
    assert isinstance(on_drift(task, copy.home, state), str)
    assert latest_drift(copy.home, TASK).status == "evaluated"


def test_drift_that_a_task_does_not_use_gives_no_reason(workspace, results):
    results(A)
    task = load_task(TASK, {"retrain.on_drift": False})
    assert on_drift(task, workspace.home, {}) == ""
