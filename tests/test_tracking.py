import json
import math
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from kinemill.errors import KinemillError
from kinemill.store.home import Home
from kinemill.tracking import (
    MlflowTracker,
    end_orphans,
    lock,
    log_dataset,
    open_tracking,
    runs,
    start_run,
)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def tracked(tracked_home) -> Home:
    return tracked_home


def _python(code, *args, **kwargs):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)], cwd=ROOT, stdout=subprocess.PIPE, **kwargs
    )


OPEN = """
import sys
from pathlib import Path
from kinemill.store.home import Home
from kinemill.tracking import start_run

print(start_run(Home(Path(sys.argv[1])), "cart", sys.argv[2]))
"""


def test_two_processes_racing_to_create_the_database_all_get_their_run(home):
    processes = [_python(OPEN, home.root, f"key{index}", stderr=subprocess.PIPE) for index in "ab"]
    responses = [process.communicate(timeout=400) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], responses
    assert {err for _, err in responses} == {b""}  # nor does MLflow chatter
    client = open_tracking(home).client
    ids = {out.decode().strip() for out, _ in responses}
    assert len({client.get_run(run_id).info.experiment_id for run_id in ids}) == 1
    assert sorted(path.name for path in home.root.iterdir()) == [".locks", "artifacts", "mlflow.db"]


def test_a_home_gets_the_database_that_mlflow_makes_with_artifacts_of_its_own(tmp_path):
    """The first home of a process, and the second, which gets a copy of the same empty database."""
    homes = [Home(tmp_path / name) for name in ("first", "second")]
    for home in homes:
        open_tracking(home)
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    home = Home(tmp_path / "expected")
    home.make()
    SqlAlchemyStore(f"sqlite:///{home.mlflow_db}", home.artifacts.as_uri()).engine.dispose()
    expected = _content(home)
    assert "ARTIFACTS/0" in "".join(expected)
    assert [_content(one) for one in homes] == [expected, expected]


def _content(home):
    """All tables, indices and rows of a database, without times and the folder of the home.

    The lines are sorted: MLflow's migrations write the constraints of a table in any order.
    """
    with closing(sqlite3.connect(home.mlflow_db)) as connection:
        text = "\n".join(connection.iterdump())
    text = re.sub(r"\b\d{13}\b", "TIME", text.replace(home.artifacts.as_uri(), "ARTIFACTS"))
    return sorted(line.strip(" \t,") for line in text.splitlines())


def test_artifacts_lie_under_the_home_and_follow_when_it_moves(tracked, tmp_path):
    run_id = start_run(tracked, "cart", "k")
    client = open_tracking(tracked).client
    assert client.get_run(run_id).info.artifact_uri.startswith(tracked.artifacts.as_uri())
    moved = Home(tmp_path / "a new #place")
    tracked.root.rename(moved.root)
    there = open_tracking(moved).client
    assert there.get_run(run_id).info.artifact_uri.startswith(moved.artifacts.as_uri())
    again = start_run(moved, "cart", "k")
    there.log_text(again, "hello", "note.txt")
    assert len(list(moved.artifacts.rglob("note.txt"))) == 1
    assert not tracked.root.exists()


def test_no_telemetry_and_no_pickles(tracked):
    open_tracking(tracked)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"


def test_a_database_of_another_mlflow_is_a_clear_error(tracked):
    with sqlite3.connect(tracked.mlflow_db) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'older'")
    with pytest.raises(KinemillError, match="kinemill admin upgrade"):
        open_tracking(tracked)


def test_a_lock_is_held_by_one_at_a_time_and_freed_by_a_kill(home):
    code = (
        "import sys, time; from pathlib import Path; from kinemill.store.home import Home\n"
        "from kinemill.tracking import lock\n"
        "with lock(Home(Path(sys.argv[1])), 'x'): print('held', flush=True); time.sleep(60)"
    )
    process = _python(code, home.root)
    assert process.stdout.readline() == b"held\n"
    started = time.monotonic()
    subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {process.pid}"])
    with lock(home, "x"):
        assert time.monotonic() - started > 0.4
    process.wait(10)


def _series(home, run_id, name):
    history = open_tracking(home).client.get_metric_history(run_id, name)
    return [(item.step, item.value) for item in history]


def test_metrics_are_buffered_and_all_there_at_the_end(tracked):
    run_id = start_run(
        tracked, "cart", "k", params={"learn": {"lr": 1e-3, "model": {"type": "mlp"}}}
    )
    tracker = MlflowTracker(tracked, run_id)
    for step in range(30):
        tracker.log_metrics({"train/loss": 1.0 / (step + 1), "lr": 0.1}, step)
    assert _series(tracked, run_id, "train/loss") == []
    tracker.end()
    assert _series(tracked, run_id, "train/loss") == [
        (step, 1.0 / (step + 1)) for step in range(30)
    ]
    run = open_tracking(tracked).client.get_run(run_id)
    assert (run.info.status, run.data.params) == (
        "FINISHED",
        {"learn.lr": "0.001", "learn.model.type": "mlp"},
    )
    assert run.data.tags["kinemill.key"] == "k"


def test_a_full_buffer_and_an_old_one_are_written_without_being_asked(tracked, monkeypatch):
    run_id = start_run(tracked, "cart", "k")
    tracker = MlflowTracker(tracked, run_id)
    monkeypatch.setattr(runs, "FLUSH_COUNT", 4)
    for step in range(5):
        tracker.log_metrics({"loss": 1.0}, step)
    assert len(_series(tracked, run_id, "loss")) == 4
    monkeypatch.setattr(runs, "FLUSH_SECONDS", 0.0)
    tracker.log_metrics({"loss": 1.0}, 5)
    assert len(_series(tracked, run_id, "loss")) == 6


def test_more_metrics_than_one_batch_holds_are_written(tracked, monkeypatch):
    monkeypatch.setattr(runs, "FLUSH_COUNT", 10_000)
    run_id = start_run(tracked, "cart", "k", params={f"p{index}": index for index in range(120)})
    tracker = MlflowTracker(tracked, run_id)
    tracker.log_metrics({f"m{index}": float(index) for index in range(1100)}, 0)
    tracker.close()
    data = open_tracking(tracked).client.get_run(run_id).data
    assert (len(data.metrics), data.metrics["m1099"], len(data.params)) == (1100, 1099.0, 120)


def test_numbers_that_are_none_are_told_in_a_tag_not_as_1_8e308(tracked):
    run_id = start_run(tracked, "cart", "k")
    tracker = MlflowTracker(tracked, run_id)
    for step, value in enumerate([1.0, math.inf, math.nan, 2.0]):
        tracker.log_metrics({"loss": value}, step)
    tracker.close()
    assert _series(tracked, run_id, "loss") == [(0, 1.0), (3, 2.0)]
    tags = open_tracking(tracked).client.get_run(run_id).data.tags
    assert tags["kinemill.nonfinite"] == "loss: 2 from step 1 (inf)"
    assert tags["mlflow.user"]
    assert tags["mlflow.source.name"] == "kinemill run cart"


def test_a_name_that_mlflow_refuses_spoils_no_batch(tracked):
    run_id = start_run(tracked, "cart", "k")
    tracker = MlflowTracker(tracked, run_id)
    tracker.log_metrics({"rmse/q[0]": 1.0, "loss": 2.0}, 0)
    tracker.close()
    data = open_tracking(tracked).client.get_run(run_id).data
    assert data.metrics == {"rmse/q_0_": 1.0, "loss": 2.0}


class Broken:
    """A client for a database that takes nothing."""

    def __init__(self, client):
        self.client, self.broken = client, True

    def __getattr__(self, name):
        from mlflow.exceptions import MlflowException

        if self.broken and name in {"log_batch", "set_terminated"}:
            message = "database is locked"
            raise MlflowException(message)
        return getattr(self.client, name)


def test_a_locked_database_neither_stops_training_nor_loses_numbers(tracked, caplog, monkeypatch):
    monkeypatch.setattr(runs, "RETRY_SECONDS", 0.0)
    run_id = start_run(tracked, "cart", "k")
    tracker = MlflowTracker(tracked, run_id)
    tracker._client = Broken(tracker._client)
    tracker.log_metrics({"loss": 1.0}, 0)
    tracker.flush()
    assert "MLflow cannot be written, 1 metrics are kept in memory" in caplog.text
    tracker._client.broken = False
    tracker.log_metrics({"loss": 2.0}, 1)
    tracker.flush()
    assert _series(tracked, run_id, "loss") == [(0, 1.0), (1, 2.0)]


def test_what_is_unsent_at_the_end_is_kept_and_sent_with_the_next_run(tracked):
    run_id = start_run(tracked, "cart", "k")
    tracker = MlflowTracker(tracked, run_id)
    tracker._client = Broken(tracker._client)
    tracker.log_metrics({"loss": 1.0}, 7)
    tracker.end("FAILED")
    retained = tracked.runs / "unsent" / f"{run_id}.json"
    assert json.loads(retained.read_text())["metrics"][0][:2] == ["loss", 1.0]
    assert end_orphans(tracked) == []
    assert _series(tracked, run_id, "loss") == [(7, 1.0)]
    assert open_tracking(tracked).client.get_run(run_id).info.status == "FAILED"
    assert not retained.exists()


def test_numbers_that_can_be_kept_nowhere_are_an_error(tracked):
    run_id = start_run(tracked, "cart", "k")
    tracker = MlflowTracker(tracked, run_id)
    tracker._client = Broken(tracker._client)
    tracker.log_metrics({"loss": 1.0}, 0)
    tracked.runs.write_text("a file where the folder should be")
    with pytest.raises(KinemillError, match="1 metrics can be written neither"):
        tracker.end()


TRAIN = """
import sys, time
from pathlib import Path
from kinemill.store.home import Home
from kinemill.tracking import MlflowTracker

tracker = MlflowTracker(Home(Path(sys.argv[1])), sys.argv[2])
tracker.log_metrics({"loss": 0.5}, 1)
tracker.flush()
print("written", flush=True)
time.sleep(60)
"""


def test_the_run_of_a_killed_training_process_is_marked_as_killed(tracked):
    mine, child = start_run(tracked, "cart", "mine"), start_run(tracked, "cart", "child")
    process = _python(TRAIN, tracked.root, child)
    assert process.stdout.readline() == b"written\n"
    assert end_orphans(tracked) == []
    process.send_signal(signal.SIGKILL)
    while process.poll() is None and not _is_zombie(process.pid):
        time.sleep(0.01)
    assert end_orphans(tracked) == [child]
    client = open_tracking(tracked).client
    run = client.get_run(child)
    assert (run.info.status, run.data.metrics["loss"]) == ("KILLED", 0.5)
    assert f":{process.pid}:" in run.data.tags["kinemill.ended"]
    assert client.get_run(mine).info.status == "RUNNING"


def _is_zombie(pid):
    return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()


def test_a_run_whose_number_another_process_has_now_is_an_orphan(tracked):
    run_id = start_run(tracked, "cart", "k")
    client = open_tracking(tracked).client
    host, pid, started = client.get_run(run_id).data.tags["kinemill.owner"].rsplit(":", 2)
    client.set_tag(run_id, "kinemill.owner", f"{host}:{pid}:{int(started) - 3600}")
    assert end_orphans(tracked) == [run_id]
    other_folder = start_run(tracked, "cart", "k")
    client.set_tag(other_folder, "kinemill.owner", f"another-machine:{pid}:{started}")
    assert end_orphans(tracked) == []


def test_a_run_lists_the_dataset_it_learned_from_once(tracked_home):
    run_id, client = start_run(tracked_home, "arm", "k"), open_tracking(tracked_home).client
    digest, summary = "ab" * 32, {"episodes": {"train": 3}, "rows": {"train": 60}, "other": 1}
    for _ in range(2):  # by the training, and when its model is registered
        log_dataset(client, run_id, "arm", digest, summary)
    (result,) = client.get_run(run_id).inputs.dataset_inputs
    assert (result.dataset.name, result.dataset.digest) == ("arm", digest[:32])
    assert json.loads(result.dataset.source) == {"dataset": digest}
    assert json.loads(result.dataset.profile) == {"episodes": {"train": 3}, "rows": {"train": 60}}
    assert [(tag.key, tag.value) for tag in result.tags] == [("mlflow.data.context", "training")]
