"""Cleanup after runs that were killed."""

import platform
import sqlite3
import threading
import time
from contextlib import closing

import dagster as dg
import pytest

from kinemill.errors import KinemillError
from kinemill.tracking import open_tracking, runs, start_run
from kinemill_dagster.pipelines.run_status_sensors import cancellations, failures
from tests.pipelines.conftest import TASK


@dg.op
def nothing():
    pass


@dg.job(name=TASK)
def chain():
    nothing()


@pytest.fixture
def tracked(workspace, empty_database):
    workspace.home.root.mkdir(parents=True)
    workspace.home.mlflow_db.write_bytes(empty_database.read_bytes())
    return workspace.home


@pytest.fixture
def orphan(tracked, monkeypatch):
    """An MLflow run whose process is gone, and one whose process is this one."""
    with monkeypatch.context() as patch:
        patch.setattr(runs, "_owner", lambda: f"{platform.node()}:{2**22 + 1}:0")
        dead = start_run(tracked, TASK, "key")
    return dead, start_run(tracked, TASK, "other")


def statuses(home, started):
    client = open_tracking(home).client
    return [client.get_run(run).info.status for run in started]


def test_canceled_run_marks_its_mlflow_run_killed(tracked, orphan):
    assert statuses(tracked, orphan) == ["RUNNING", "RUNNING"]
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(chain, status=dg.DagsterRunStatus.STARTED)
        event = instance.report_run_canceled(run)
        cancellations(dg.build_run_status_sensor_context("cancellations", event, instance, run))
    assert statuses(tracked, orphan) == ["KILLED", "RUNNING"]


def test_run_with_a_dead_process_marks_its_mlflow_run_killed(tracked, orphan):
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(chain, status=dg.DagsterRunStatus.STARTED)
        event = instance.report_run_failed(run, "its process is gone")
        context = dg.build_run_status_sensor_context("failures", event, instance, run)
        failures(context.for_run_failure())
    assert statuses(tracked, orphan) == ["KILLED", "RUNNING"]
    assert "its process is gone" in (tracked.dagster / "failures.jsonl").read_text()


def test_training_without_mlflow_names_the_database(workspace):
    workspace.home.root.mkdir(parents=True)
    workspace.home.mlflow_db.write_text("this is no database")
    with pytest.raises(KinemillError, match=r"mlflow\.db: is damaged or not a database of MLflow"):
        start_run(workspace.home, TASK, "key")


@pytest.mark.ci
def test_locked_mlflow_database_is_waited_for(tracked):
    began = threading.Event()

    def hold():
        with closing(sqlite3.connect(tracked.mlflow_db, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            began.set()
            time.sleep(6.0)  # SQLite's own patience is 5 s
            connection.execute("ROLLBACK")

    holder = threading.Thread(target=hold)
    holder.start()
    began.wait()
    assert open_tracking(tracked).client is not None
    holder.join()
