"""Sensor and schedule of a task: what starts a run, with the reason on Dagster's pages."""

import os
import time

import dagster as dg
import pytest

from kinemill.store import ArtifactRef, publish_json
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill_dagster.pipelines.automation import retraining as sensors
from kinemill_dagster.pipelines.automation.retraining import retraining_sensor, schedule
from kinemill_dagster.pipelines.chain import chain_job, definitions_of, task_definitions
from tests.pipelines.automation.ticks import Ticks
from tests.pipelines.conftest import TASK, TINY

LOG = "timestamp,qpos_cart,qpos_pole,qvel_cart,qvel_pole,ctrl_cart\n0.0,0,0,0,0,{}\n"


@pytest.fixture
def robots(workspace, tmp_path, monkeypatch):
    """Two tasks; `two` runs on schedule."""
    folder = tmp_path / "robots"
    folder.mkdir()
    texts = {
        "one": TINY,
        "two": TINY.replace("retrain: {cron: null}", "retrain: {cron: '0 3 * * *'}"),
    }
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text.replace("task: tiny", f"task: {name}"))
    monkeypatch.setenv("KINEMILL_TASKS", str(folder))
    return [load_task(name) for name in texts]


def drop(task, name="a.csv", content=1):
    folder = Home.resolve().logs(task)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(LOG.format(content))
    os.utime(path, (time.time() - 10.0,) * 2)


def test_new_log_starts_one_run_of_the_job_with_the_reason(robots):
    ticks = Ticks(robots)
    assert ticks.tick().skip_message.startswith("one, two: no new logs; ")
    drop("one")
    data = ticks.tick()
    (request,) = data.run_requests
    assert request.tags["kinemill/why"] == "1 new logs"
    assert request.run_key.startswith("one-")
    assert request.asset_selection is None  # all of the job
    assert request.job_name == "one"
    assert [event.asset_key.path for event in data.asset_events] == [["one", "logs"]]


def test_each_task_with_new_logs_starts_one_run(robots):
    ticks = Ticks(robots)
    drop("one")
    drop("two", content=2)
    assert [request.job_name for request in ticks.tick().run_requests] == ["one", "two"]
    drop("two", "b.csv", 3)
    assert [request.job_name for request in ticks.tick().run_requests] == ["two"]


def test_drift_waits_for_the_current_run(robots, monkeypatch):
    request = dg.RunRequest("one-drift-1", job_name="one", tags={"kinemill/why": "drift"})
    monkeypatch.setattr(sensors, "on_drift", lambda *_: request)
    ticks = Ticks(robots[:1])
    tags = {"kinemill/task": "one"}
    run = ticks.instance.create_run_for_job(
        chain_job(robots[0]), tags=tags, status=dg.DagsterRunStatus.STARTED
    )
    assert "waits for the current run" in ticks.tick().skip_message
    ticks.instance.report_run_canceled(run)
    assert [request.run_key for request in ticks.tick().run_requests] == ["one-drift-1"]


def test_broken_task_file_is_the_reason_of_a_skipped_tick(robots):
    ticks = Ticks(robots)
    robots[0].path.write_text("task: one\ndt: -1\n")
    assert "dt: Input should be greater than" in ticks.tick().skip_message


def test_schedule_starts_a_task_that_has_recordings(robots):
    ticks = Ticks(robots)
    assert ticks.schedule("two_schedule").skip_message == "two has no recordings"
    file = Home.resolve().dagster / "refs" / "latest" / "two" / "recordings.json"
    file.parent.mkdir(parents=True)
    publish_json(file, ArtifactRef("0" * 64, "store/x").to_json())
    (request,) = ticks.schedule("two_schedule").run_requests
    assert request.tags["kinemill/why"] == "schedule 0 3 * * *"
    assert ticks.repository.get_schedule_def("two_schedule").job_name == "two"


def test_edited_task_file_switches_its_triggers_off(robots):
    ticks = Ticks(robots)
    file = robots[0].path
    file.write_text(file.read_text().replace("{cron: null}", "{cron: null, on_arrival: false}"))
    drop("one")
    drop("two")
    assert [request.job_name for request in ticks.tick().run_requests] == ["two"]


def test_task_switches_its_triggers_off(workspace):
    off = {"retrain.on_arrival": False, "retrain.on_drift": False}
    assert retraining_sensor([load_task(TASK, off)], []) == schedule(load_task(TASK, off)) == []
    task = load_task(TASK, {"retrain.on_arrival": False})
    (sensor,) = retraining_sensor([task], [task_definitions(task)])
    assert sensor.minimum_interval_seconds == 30


def test_alerts_are_checked_only_if_they_are_configured(workspace):
    def names():
        return {sensor.name for sensor in definitions_of([]).sensors}

    assert "alerts" not in names()
    workspace.home.root.mkdir(parents=True, exist_ok=True)
    (workspace.home.root / "alerts.yaml").touch()
    assert "alerts" in names()
