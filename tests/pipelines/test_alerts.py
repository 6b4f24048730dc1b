"""Alerts about runs and their results are sent once, for any number of observers."""

import json
import sqlite3
import time
from contextlib import closing
from dataclasses import asdict

import dagster as dg
import pytest

from kinemill.register.audit_log import Event, append_event
from kinemill.store import get_or_build, publish_json, read_json, to_json_value, write_json
from kinemill.tracking.memory_warning import FILE, MemoryWarning
from kinemill.tracking.run_links import TrainingLink, note_training
from kinemill.validate.summary import EpisodesSummary
from kinemill_dagster.pipelines import alerts as observers
from kinemill_dagster.pipelines.instance import open_instance
from kinemill_dagster.resources import alerts
from tests.pipelines.conftest import TASK


@pytest.fixture
def received(workspace):
    """A home in which somebody wants to hear everything, and the titles of what they are to."""
    home = workspace.home
    home.root.mkdir()
    (home.root / "alerts.yaml").write_text("urls: ['json://127.0.0.1:9']\nstalled_after: 60\n")
    publish_json(alerts.folder(home) / "since.json", {"since": 0.0})

    def look():
        with pytest.MonkeyPatch.context() as patch, open_instance(home) as instance:
            patch.setattr(observers, "deliver", lambda _: None)
            observers.outcome_alerts(dg.build_sensor_context(instance=instance))
        return sorted(read_json(path)["title"] for path in alerts.waiting(home).glob("*.json"))

    return home, look


def emit(home, asset, stage, document, **summary):
    """Publish an outcome with one document, as the latest of an asset."""

    def build(folder):
        if document:
            write_json(folder / f"{stage}.json", document)
        return summary

    artifact = get_or_build(home, stage, TASK, {"document": document, **summary}, build)
    publish_json(home.dagster / "refs" / "latest" / TASK / f"{asset}.json", artifact.ref.to_json())


def quarantined(count):
    return to_json_value(EpisodesSummary(9, 9, count, 0, 0, 0, {}, ["a.csv"], "", 0, []))


def decided(version, decision, passed):
    gate = [{"rule": "beats_linear", "passed": passed, "value": 0.5, "expected": "<= 0.4"}]
    numbers = {"version": version, "previous_champion": 1}
    return {"task": TASK, "decision": decision, "gate": gate, **numbers}


def test_refusal_quarantine_and_drift_alert_once(received):
    home, look = received
    emit(home, "registered_model", "decision", decided(2, "champion", True))
    emit(home, "episodes", "episodes", None, **quarantined(1))
    assert look() == []
    emit(home, "registered_model", "decision", decided(3, "refused", False))
    emit(home, "episodes", "episodes", None, **quarantined(3))
    line = {"recording": "ab", "name": "run7.csv", "message": "has an error of 3 rad"}
    drift = {"status": "evaluated", "counts": {}, "drifting": [line], "champion": 1}
    publish_json(home.store / "drift" / f"{TASK}.json", drift)
    message = look()
    assert message == [
        f"kinemill: 1 recordings of {TASK} drift from champion version 1",
        f"kinemill: 3 of 9 recordings of {TASK} are in quarantine",
        f"kinemill: {TASK} version 3 is refused",
    ]
    notes = [read_json(path) for path in alerts.waiting(home).glob("*.json")]
    (refused,) = [note for note in notes if note["kind"] == "refused"]
    assert refused["body"] == (
        "it is not better than the linear model\nbeats_linear: 0.5, expected <= 0.4\n"
        "version 1 stays champion"
    )
    assert look() == message  # the next tick, and one after a restart, add nothing
    emit(home, "registered_model", "decision", decided(4, "refused", False))
    (home.store / "drift" / f"{TASK}.json").write_text("damaged")
    assert len(look()) == 4


def test_version_waiting_for_approval_alerts_its_owners_once(received):
    home, look = received
    emit(home, "registered_model", "decision", decided(5, "waiting", False))
    assert look() == [f"kinemill: {TASK} version 5 waits for approval"]
    (note,) = [read_json(path) for path in alerts.waiting(home).glob("*.json")]
    assert (note["kind"], note["task"]) == ("waiting", TASK)
    assert f"kinemill model approve {TASK}:5" in note["body"]
    assert len(look()) == 1
    (home.root / "alerts.yaml").write_text("urls: ['json://127.0.0.1:9']\non: [refused]\n")
    emit(home, "registered_model", "decision", decided(6, "waiting", False))
    assert len(look()) == 1


def test_champion_change_alerts_once(received):
    home, look = received
    publish_json(home.dagster / "refs" / "latest" / TASK / "model.json", {})
    decisions = [
        ("champion", 1),
        ("refused", 2),
        ("promoted", 3),
        ("rolled back", 1),
        ("moved in MLflow", 2),
    ]
    for number, (what, version) in enumerate(decisions):
        event = Event(f"2026-03-01T00:0{number}:00Z", "ada", what, version, None, "because")
        append_event(home, TASK, event)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alerts, "OLD", float("inf"))
        message = look()
        assert look() == message
    assert message == [
        f"kinemill: {TASK} version 1: champion",
        f"kinemill: {TASK} version 1: rolled back",
        f"kinemill: {TASK} version 2: moved in MLflow",
        f"kinemill: {TASK} version 3: promoted",
    ]
    kinds = sorted(read_json(path)["kind"] for path in alerts.waiting(home).glob("*.json"))
    assert kinds == ["moved", "promoted", "promoted", "rolled_back"]


def test_stalled_run_alerts_at_each_stall(received):
    home, look = received
    with open_instance(home) as instance:
        run = dg.DagsterRun(job_name=TASK, run_id="1" * 32, status=dg.DagsterRunStatus.STARTED)
        instance.add_run(run)
        instance.report_engine_event("step 3", run)
    assert look() == []
    shard = home.dagster / "history" / "runs" / f"{'1' * 32}.db"
    with closing(sqlite3.connect(shard)) as database, database:
        rows = database.execute("SELECT id, event, timestamp FROM event_logs").fetchall()
        for number, event, _ in rows:
            old = json.loads(event)
            old["timestamp"] -= 120.0
            values = (json.dumps(old), number)
            database.execute("UPDATE event_logs SET event = ? WHERE id = ?", values)
    assert look() == [f"kinemill: {TASK} has stalled"]
    assert len(look()) == 1


def test_failed_run_without_a_retry_alerts_with_its_message(received, monkeypatch):
    home, look = received

    @dg.op
    def learn():
        message = "loss is not finite at step 12"
        raise ValueError(message)

    @dg.job(name=TASK)
    def failing():
        learn()

    with open_instance(home) as instance:
        ran = [
            failing.execute_in_process(
                instance=instance, raise_on_error=False, tags={"kinemill/owner": "ada"}
            )
            for _ in range(3)
        ]
        # Dagster notes the first when a run fails, and the second when it is tried again.
        instance.add_run_tags(ran[0].run_id, {"dagster/will_retry": "true"})
        instance.add_run_tags(ran[1].run_id, {"dagster/auto_retry_run_id": "7"})
        instance.add_run_tags(ran[2].run_id, {"dagster/will_retry": "false"})
    done = ran[2]
    assert look() == [f"kinemill: {TASK} failed"]
    assert len(look()) == 1
    (note,) = [read_json(path) for path in alerts.waiting(home).glob("*.json")]
    assert (note["kind"], note["task"], note["owner"]) == ("failure", TASK, "ada")
    assert "loss is not finite at step 12" in note["body"]
    assert note["link"].endswith(f"/runs/{done.run_id}")
    monkeypatch.setattr(observers, "_PATIENCE", 0.0)
    assert len(look()) == 2  # nobody tried the first one again after all


def test_training_near_the_memory_limit_alerts_once(received):
    home, look = received
    with open_instance(home) as instance:
        run = dg.DagsterRun(job_name=TASK, run_id="3" * 32, status=dg.DagsterRunStatus.STARTED)
        instance.add_run(run)
        instance.report_engine_event("step 3", run)
    note_training(home, run.run_id, TrainingLink(f"runs/{TASK}/abc", 100))
    assert look() == []
    folder = home.root / "runs" / TASK / "abc"
    folder.mkdir(parents=True)
    free = "0.40 of 8.00 GiB of the container are free"
    publish_json(folder / FILE, asdict(MemoryWarning(free, 0.95, time.time())))
    assert look() == [f"kinemill: the memory of {TASK} is nearly used up"]
    assert len(look()) == 1
    (note,) = (read_json(path) for path in alerts.waiting(home).glob("*.json"))
    assert note["body"].startswith(f"95% of the memory is in use: {free}")
