"""The demo task on PostgreSQL and an S3 store: the same champion, and what other machines see.

Seconds of each run are printed (`pytest -s`); docs/results-*.md has them.
"""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from kinemill.store.home import Home
from tests.conftest import ROOT
from tests.pipelines.conftest import messages_of_run
from tests.waiting import until

pytestmark = pytest.mark.slow
MAIN = "from kinemill.cli import main; main()"
SHORT = ("--set", "learn.compile=off", "--set", "learn.steps=400", "--set", "learn.save_every=50")
OTHER = ("run", "cart_pole", *SHORT, "--set", "learn.seed=1")


def start(home, *arguments):
    """Start a command on a home, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments, "--json"],
        cwd=ROOT,
        env={**os.environ, "KINEMILL_HOME": str(home.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kinemill(home, *arguments, expected=(0,)):
    """Run a command on a home; return its document."""
    begun = time.monotonic()
    active = start(home, *arguments)
    said, message = active.communicate(timeout=600)
    assert active.returncode in expected, message
    sys.stderr.write(f"{' '.join(arguments)}: {time.monotonic() - begun:.1f} s\n")
    return json.loads(said)


def demo_in(home):
    """Return the command that runs the demo in a project beside a home."""
    return "demo", "--keep", f"{home.root}-project"


def digests(home):
    """Return what was published of the stages whose outcomes follow from the logs alone."""
    return {
        stage: sorted(path.name for path in (home.store / stage / "cart_pole").iterdir())
        for stage in ("recording", "episodes", "dataset", "model")
    }


def test_the_demo_task_on_postgres(database, tmp_path, monkeypatch):
    import psycopg2

    home, plain = Home(tmp_path / "shared"), Home(tmp_path / "plain")
    result = kinemill(home, *demo_in(home))
    assert (result["status"], result["version"], result["alias"]) == ("done", 1, "champion")
    assert kinemill(home, *demo_in(home))["status"] == "unchanged"
    assert list(home.root.glob("**/*.db")) == []  # nothing is kept in SQLite beside it
    with psycopg2.connect(database) as connection, connection.cursor() as cursor:
        for table, least in {"dagster.runs": 2, "mlflow.model_versions": 1}.items():
            cursor.execute(f"SELECT count(*) FROM {table}")
            assert cursor.fetchone()[0] >= least
    monkeypatch.delenv("KINEMILL_DATABASE")
    alone = kinemill(plain, *demo_in(plain))
    assert alone["metrics"] == result["metrics"]
    assert digests(plain) == digests(home)


def test_a_second_machine_has_it_all_and_goes_on_where_the_first_was_killed(
    database, bucket, tmp_path
):
    from kinemill.control.sim import write_logs

    one, other = Home(tmp_path / "one"), Home(tmp_path / "other")
    write_logs(one.logs("cart_pole"), "cart_pole")
    result = kinemill(one, "run", "cart_pole", *SHORT, expected=(0, 1))
    assert result["status"] in {"done", "refused"}  # as the gate finds a training that short
    other.logs("cart_pole").mkdir(parents=True)  # no log was ever dropped on this machine
    again = kinemill(other, "run", "cart_pole", *SHORT)
    assert (again["status"], again["version"]) == ("unchanged", 1)
    assert again["metrics"] == result["metrics"]
    assert digests(other)["dataset"] == digests(one)["dataset"]
    assert versions(other) == versions(one)
    assert len(versions(one)) == 1

    killed = start(one, *OTHER)
    saved = lambda: "checkpoint.json" in " ".join(checkpoints(bucket))  # noqa: E731
    until(saved, "a checkpoint in the store", 600, process=killed, pause=0.1)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert checkpoints(bucket)
    assert kinemill(other, *OTHER, expected=(0, 1))["version"] == 2
    assert "from another machine" in "\n".join(messages_of_run(other))
    assert checkpoints(bucket) == []  # deleted after the training


def versions(home):
    """Return the dataset versions that a home lists."""
    listed = kinemill(home, "data", "datasets", "list", "cart_pole")["datasets"]
    return [{key: one[key] for key in ("name", "digest", "status", "created")} for one in listed]


def checkpoints(bucket):
    """Return the keys of the checkpoints that are in the store."""
    every = [item.key for item in bucket.objects.filter(Prefix="mill/runs/")]
    return [key for key in every if not key.endswith("/")]
