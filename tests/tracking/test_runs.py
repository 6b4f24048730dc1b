"""Runs in MLflow: metrics while MLflow is away, ends of dead processes, system metrics."""

import json
import math
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from kinemill.tracking import (
    MlflowTracker,
    end_orphans,
    log_dataset,
    open_tracking,
    runs,
    start_run,
    system_metrics,
)
from kinemill.tracking.jsonl import JsonLines

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def client(tracked_home):
    return open_tracking(tracked_home).client


def series(client, run_id, name):
    return [(metric.step, metric.value) for metric in client.get_metric_history(run_id, name)]


def test_ended_run_has_params_tags_texts_and_all_metrics(tracked_home, client):
    settings = {"learn": {"lr": 1e-3, "model": {"type": "mlp"}}}
    run_id = start_run(tracked_home, "cart", "k", params=settings)
    tracker = MlflowTracker(tracked_home, run_id)
    tracker.log_params({f"p{index}": index for index in range(120)})
    tracker.log_metrics({f"m{index}": float(index) for index in range(1100)}, 0)
    for step, value in enumerate([1.0, math.inf, math.nan, 2.0]):
        tracker.log_metrics({"loss": value, "rmse/q[0]": 1.0}, step)
    tracker.log_text("config", "task: cart\n")
    tracker.tag("result", "x" * 6000)
    tracker.end()
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["learn.model.type"] == "mlp"
    assert len(run.data.params) == 122
    assert run.data.metrics["m1099"] == 1099.0
    assert run.data.metrics["rmse/q_0_"] == 1.0
    assert series(client, run_id, "loss") == [(0, 1.0), (3, 2.0)]
    assert run.data.tags["kinemill.nonfinite"] == "loss: 2 from step 1 (inf)"
    assert run.data.tags["mlflow.source.name"] == "kinemill run cart"
    assert len(run.data.tags["result"]) == 4900
    assert [file.path for file in client.list_artifacts(run_id)] == ["config.txt"]


def test_resumed_training_shows_the_whole_curve(tracked_home, client, tmp_path):
    def attempt(run_id, steps):
        lines = JsonLines(tmp_path / "metrics.jsonl")
        tracker = MlflowTracker(tracked_home, run_id, tmp_path)
        for step in steps:
            for target in (lines, tracker):
                target.log_metrics({"train/loss": 1.0 / step}, step)
        lines.close(ended_well=True)
        tracker.end()

    attempt(start_run(tracked_home, "arm", "k"), (10, 20, 30))
    second = start_run(tracked_home, "arm", "k")
    attempt(second, (20, 30, 40))
    assert sorted(series(client, second, "train/loss")) == [
        (step, 1.0 / step) for step in (10, 20, 30, 40)
    ]


@pytest.mark.ci
def test_metrics_of_a_locked_database_are_sent_at_the_end(
    tracked_home, client, tmp_path, monkeypatch
):
    """MLflow drops a batch after 5 s of a lock."""
    monkeypatch.setattr(runs, "RETRY", 0.1)
    run_id = start_run(tracked_home, "cart", "k")
    tracker = MlflowTracker(tracked_home, run_id, tmp_path)
    lines = JsonLines(tmp_path / "metrics.jsonl")
    is_over = threading.Event()
    with closing(sqlite3.connect(tracked_home.mlflow_db, isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        for step in range(3):
            for target in (lines, tracker):
                target.log_metrics({"loss": float(step), "empty": math.nan}, step)
        tracker.log_params({"seed": 1})
        ending = threading.Thread(target=lambda: (tracker.end(), is_over.set()))
        ending.start()
        assert not is_over.wait(7.0)  # waits for MLflow
        lock.execute("ROLLBACK")
    ending.join()
    assert series(client, run_id, "loss") == [(0, 0.0), (1, 1.0), (2, 2.0)]
    run = client.get_run(run_id)
    assert (run.info.status, run.data.params) == ("FINISHED", {"seed": "1"})


class Away:
    """A client of MLflow that does not respond."""

    def __init__(self, client):
        self.client = client

    def __getattr__(self, name):
        from mlflow.exceptions import MlflowException

        def refuse(*_args, synchronous=True, **_options):
            if synchronous:
                raise MlflowException("database is locked")
            return self

        return refuse

    def wait(self):
        from mlflow.exceptions import MlflowException

        raise MlflowException("database is locked")


def test_run_that_mlflow_cannot_end_is_ended_later_with_its_metrics(
    tracked_home, client, caplog, monkeypatch
):
    run_id = start_run(tracked_home, "cart", "k")
    folder = tracked_home.runs / "cart" / "k"
    folder.mkdir(parents=True)
    JsonLines(folder / "metrics.jsonl").log_metrics({"loss": 1.0}, 7)
    tracker = MlflowTracker(tracked_home, run_id, folder)
    tracker._client = Away(client)
    tracker.log_metrics({"loss": 1.0}, 7)
    tracker.log_text("config", "task: cart\n")
    tracker.end("FAILED")
    assert "config is sent at the end of the run: database is locked" in caplog.text
    assert "could not be ended in MLflow" in caplog.text
    monkeypatch.setattr("kinemill.tracking.maintenance._alive", lambda owner: False)
    assert end_orphans(tracked_home) == [run_id]
    assert series(client, run_id, "loss") == [(7, 1.0)]


TRAIN = """
import sys, time
from pathlib import Path
from kinemill.store.home import Home
from kinemill.tracking import MlflowTracker
from kinemill.tracking.jsonl import JsonLines

home = Home(Path(sys.argv[1]))
folder = home.runs / "cart" / "child"
folder.mkdir(parents=True)
tracker = MlflowTracker(home, sys.argv[2], folder)
for target in (JsonLines(folder / "metrics.jsonl"), tracker):
    target.log_metrics({"loss": 0.5}, 1)
while not tracker._client.get_run(sys.argv[2]).data.metrics:
    time.sleep(0.1)
JsonLines(folder / "metrics.jsonl").log_metrics({"loss": 0.25}, 2)
print("written", flush=True)
time.sleep(60)
"""


@pytest.mark.ci
def test_run_of_a_killed_training_is_killed_and_has_its_metrics(tracked_home, client):
    live = start_run(tracked_home, "cart", "live")
    child = start_run(tracked_home, "cart", "child")
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(tracked_home.root), child],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"written\n"
    assert series(client, child, "loss") == [(1, 0.5)]
    assert end_orphans(tracked_home) == []
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert end_orphans(tracked_home) == [child]
    assert series(client, child, "loss") == [(1, 0.5), (2, 0.25)]
    run = client.get_run(child)
    assert run.info.status == "KILLED"
    assert f":{process.pid}:" in run.data.tags["kinemill.ended"]
    assert client.get_run(live).info.status == "RUNNING"


def test_run_with_a_reused_process_id_is_an_orphan(tracked_home, client):
    run_id = start_run(tracked_home, "cart", "k")
    host, pid, started = client.get_run(run_id).data.tags["kinemill.owner"].rsplit(":", 2)
    client.set_tag(run_id, "kinemill.owner", f"{host}:{pid}:{int(started) - 3600}")
    assert end_orphans(tracked_home) == [run_id]
    remote = start_run(tracked_home, "cart", "k")
    client.set_tag(remote, "kinemill.owner", f"another-machine:{pid}:{started}")
    assert end_orphans(tracked_home) == []


@pytest.mark.parametrize("enabled", ["", "false"])
def test_system_metrics_are_mlflows_and_can_be_disabled(tracked_home, client, monkeypatch, enabled):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    if enabled:
        monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", enabled)
    run_id = start_run(tracked_home, "cart", "k")
    with system_metrics(tracked_home, run_id):
        time.sleep(1.0)
    names = set(client.get_run(run_id).data.metrics)
    memory = "system/system_memory_usage_percentage"
    assert ({"system/cpu_utilization_percentage", memory} <= names) == (not enabled)


def test_run_lists_its_dataset_once(tracked_home, client):
    run_id = start_run(tracked_home, "arm", "k")
    digest = "ab" * 32
    summary = {"episodes": {"train": 3}, "rows": {"train": 60}, "statistics": {"angle": {}}}
    for _ in range(2):  # by the training, and when its model is registered
        log_dataset(client, run_id, "arm", digest, summary)
    (result,) = client.get_run(run_id).inputs.dataset_inputs
    assert (result.dataset.name, result.dataset.digest) == ("arm", digest[:32])
    assert json.loads(result.dataset.source) == {"dataset": digest}
    assert json.loads(result.dataset.profile) == {"train episodes": 3, "train rows": 60}
    (column,) = json.loads(result.dataset.schema)["mlflow_colspec"]
    assert (column["name"], column["type"]) == ("angle", "float")
    assert [(tag.key, tag.value) for tag in result.tags] == [("mlflow.data.context", "training")]
