"""MLflow's database of a home: creation, moves, another version of MLflow, and locks."""

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from kinemill.errors import KinemillError
from kinemill.store.home import Home
from kinemill.tracking import open_tracking, start_run

ROOT = Path(__file__).resolve().parents[2]


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


@pytest.mark.ci
def test_two_processes_racing_to_create_the_database_all_get_their_run(home):
    processes = [_python(OPEN, home.root, f"key{index}", stderr=subprocess.PIPE) for index in "ab"]
    responses = [process.communicate(timeout=400) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], responses
    assert {err for _, err in responses} == {b""}  # nor does MLflow chatter
    client = open_tracking(home).client
    ids = {out.decode().strip() for out, _ in responses}
    assert len({client.get_run(run_id).info.experiment_id for run_id in ids}) == 1
    assert sorted(path.name for path in home.root.iterdir()) == [".locks", "artifacts", "mlflow.db"]


ARRIVE = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from kinemill.store.home import Home
from kinemill.tracking import open_tracking

def arrive(number):
    time.sleep(number / 20)
    open_tracking(Home(Path(sys.argv[1])))

with ThreadPoolExecutor(60) as pool:
    list(pool.map(arrive, range(60)))
"""


@pytest.mark.ci
def test_threads_that_open_it_while_another_imports_mlflow_wait_for_the_import(tracked_home):
    arriving = _python(ARRIVE, tracked_home.root, stderr=subprocess.PIPE)
    _, errors = arriving.communicate(timeout=400)
    assert (arriving.returncode, errors) == (0, b"")


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


def test_artifacts_lie_under_the_home_and_follow_when_it_moves(tracked_home, tmp_path):
    run_id = start_run(tracked_home, "cart", "k")
    client = open_tracking(tracked_home).client
    assert client.get_run(run_id).info.artifact_uri.startswith(tracked_home.artifacts.as_uri())
    moved = Home(tmp_path / "a new #place")
    tracked_home.root.rename(moved.root)
    there = open_tracking(moved).client
    assert there.get_run(run_id).info.artifact_uri.startswith(moved.artifacts.as_uri())
    again = start_run(moved, "cart", "k")
    there.log_text(again, "hello", "note.txt")
    assert len(list(moved.artifacts.rglob("note.txt"))) == 1
    assert not tracked_home.root.exists()


def test_no_telemetry_and_no_pickles(tracked_home):
    open_tracking(tracked_home)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"


def test_newer_schema_is_refused_without_a_change_of_a_moved_home(tmp_path):
    source = Home(tmp_path / "here")
    open_tracking(source).experiment("arm")
    source.root.rename(tmp_path / "elsewhere")
    moved = Home(tmp_path / "elsewhere")
    with closing(sqlite3.connect(moved.mlflow_db)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'newer'")
    content = moved.mlflow_db.read_bytes()
    with pytest.raises(KinemillError, match=r"newer.*mlflow db upgrade"):
        open_tracking(moved)
    assert moved.mlflow_db.read_bytes() == content


def test_file_that_is_no_database_is_named(home):
    home.root.mkdir(parents=True)
    home.mlflow_db.write_text("this is no database")
    with pytest.raises(KinemillError, match=r"mlflow\.db: is damaged or not a database of MLflow"):
        start_run(home, "cart", "key")
