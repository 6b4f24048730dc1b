"""Drift requests a training, once per set of drifting recordings."""

import dagster as dg
import numpy as np
import pytest

from kinemill.control.sim._table import csv
from kinemill.control.sim.cart_pole import CartPole
from kinemill.store import publish_document
from kinemill.task import load_task
from kinemill.validate.drift import latest_drift
from kinemill.validate.drift.documents import DriftCounts, DriftingRecording, LatestDrift
from kinemill_dagster.pipelines.automation.drift import next_training
from kinemill_dagster.pipelines.chain import chain_job
from tests.pipelines.conftest import TASK

A, B, C = ("a" * 64, "b" * 64, "c" * 64)


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
        assert latest_drift(workspace.home, TASK) == latest

    return note


def look(workspace, observed=None, **overrides):
    return next_training(load_task(TASK, overrides), workspace.home, observed or {})


def test_drifting_recordings_request_one_run_with_the_reason(workspace, results):
    results(A, B)
    call = look(workspace)
    assert call.request.asset_selection is None  # the whole chain
    assert call.why == (
        "2 new recordings drift from champion version 3: "
        "a.csv: pole_angle has an error; b.csv: pole_angle has an error"
    )
    assert call.request.tags["kinemill/why"] == call.why
    again = look(workspace, call.cursor)
    assert (again.request, again.why) == (None, f"already requested: {call.why}")


def test_changed_set_of_drifting_recordings_has_a_new_key(workspace, results):
    results(A)
    first = look(workspace)
    results(A, B)
    second = look(workspace, first.cursor)
    assert second.request is not None
    assert second.request.run_key != first.request.run_key


def test_lost_cursor_repeats_the_run_key(workspace, results):
    results(A)
    assert look(workspace).request.run_key == look(workspace).request.run_key


@pytest.mark.parametrize("status", ["no champion", "not comparable"])
def test_missing_verdict_requests_no_run(workspace, results, status):
    assert look(workspace).why == "no new episode was evaluated yet"
    results(status=status)
    assert look(workspace).why == f"no episode was evaluated: {status}"
    assert look(workspace).request is None


def test_recordings_without_drift_request_no_run(workspace, results):
    results()
    call = look(workspace)
    assert (call.request, call.why) == (None, "0 of 4 new episodes drift")


def test_task_without_drift_retraining_requests_no_run(workspace, results):
    results(A)
    call = look(workspace, **{"retrain.on_drift": False})
    assert (call.request, call.why) == (None, "retrain.on_drift is off")


def check_of(instance, run_id):
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    values = [event.dagster_event.asset_check_evaluation_data for event in events]
    (check,) = [check for check in values if check.check_name == "drift"]
    return check


@pytest.mark.e2e
@pytest.mark.ci
@pytest.mark.usefixtures("in_this_process")
def test_changed_robot_leads_to_a_training_on_its_logs(copy):
    """A log from where things weigh 6 times as much: the check warns, one run is requested."""
    task = load_task(TASK, {"retrain.after_new_recordings": 100})
    job = chain_job(task)
    table = CartPole(gravity=60.0).log(6.0, np.random.default_rng(6))
    (copy.home.logs(TASK) / "odd.csv").write_text(csv(table))
    up_to_dataset = [dg.AssetKey([TASK, asset]) for asset in ("recordings", "episodes", "dataset")]
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(instance=instance, asset_selection=up_to_dataset)
        check = check_of(instance, done.run_id)
        assert done.success
        assert not check.passed
        assert check.severity == dg.AssetCheckSeverity.WARN
        call = next_training(task, copy.home, {})
        assert "odd.csv" in call.why
        assert job.execute_in_process(instance=instance).success
    after = next_training(task, copy.home, call.cursor)
    assert after.request is None
    assert latest_drift(copy.home, TASK).status == "evaluated"
