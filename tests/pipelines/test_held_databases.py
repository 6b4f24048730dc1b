"""Databases that somebody holds for a minute: the run waits, the training goes on meanwhile."""

import json
import sqlite3
import threading
import time
from contextlib import closing

import pytest

from kinemill.tracking import open_tracking
from tests.pipelines.conftest import TASK
from tests.pipelines.test_training import start_run, training_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LOCKED = 60.0  # s


def hold(database, seconds, reserved):
    """Keep everybody else from writing a database, or from reading it where it has no WAL."""
    with closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        reserved.append(database.name)
        time.sleep(seconds)
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("which", ["dagster", "mlflow"])
def test_run_outlives_a_database_locked_for_a_minute(copy, which):
    history = copy.home.dagster / "history"
    databases = {
        "dagster": [history / "runs.db", history / "runs" / "index.db"],
        "mlflow": [copy.home.mlflow_db],
    }[which]
    run = start_run(**{"learn.steps": 400, "learn.save_every": 10})
    training_of(run, copy.home)
    locked = []
    threads = [
        threading.Thread(target=hold, args=(database, LOCKED, locked)) for database in databases
    ]
    for thread in threads:
        thread.start()
    out, message = run.communicate(timeout=900)
    for thread in threads:
        thread.join()
    assert run.returncode == 0, message
    assert sorted(locked) == sorted(database.name for database in databases)
    document = json.loads(out)
    assert document["status"] == "done"
    client = open_tracking(copy.home).client
    (experiment,) = [client.get_experiment_by_name(TASK).experiment_id]
    newest = client.search_runs([experiment], order_by=["attributes.start_time DESC"])[0]
    losses = client.get_metric_history(newest.info.run_id, "train/loss")
    assert newest.info.status == "FINISHED"
    assert sorted(point.step for point in losses) == list(range(10, 401, 10))
