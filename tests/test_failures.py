"""The one line that a failure of the machine ends a command with, and its exit code."""

import errno
import os
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import alembic.util.exc
import botocore.exceptions
import httpx
import mlflow.exceptions
import psycopg2
import pytest
import ray.exceptions
import requests
import sqlalchemy.exc
import torch
import yaml

from kinemill.errors import BadInput, CorruptArtifact, KinemillError, Unreachable
from kinemill.extras import MissingPackage
from kinemill.failures import (
    _DATABASES,
    as_known_failure,
    check_databases,
    damaged_databases,
    report,
)
from kinemill.store.disk_space import DiskFull
from kinemill.store.home import Home
from tests.conftest import EXAMPLES, run_command, run_here
from tests.small_disk import fill, mount

ROOT = Path(__file__).resolve().parents[1]


TASK = EXAMPLES / "cart_pole.yaml"


def kinemill(*arguments, **environment):
    """Run a command in a separate process."""
    return run_command(*arguments, cwd=ROOT, env={**os.environ, **environment})


def wrapped(cause):
    """An error wrapped by a library, as in SQLAlchemy and Dagster."""
    try:
        try:
            raise cause
        except Exception as error:
            raise ValueError("step failed") from error
    except ValueError as error:
        return error


def test_sqlite_on_a_full_file_system_is_a_full_disk(home, monkeypatch):
    home.root.mkdir()
    full = shutil.disk_usage(home.root)._replace(free=4096)
    monkeypatch.setattr("kinemill.store.disk_space.shutil.disk_usage", lambda _: full)
    result = as_known_failure(wrapped(sqlite3.OperationalError("disk I/O error")))
    assert isinstance(result, DiskFull)
    assert result.exit_code == 4
    assert "4,096 of" in str(result)
    assert str(home.root) in str(result)


def database(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE run_tags (id, body)")
        made.executemany("INSERT INTO run_tags VALUES (?, ?)", [(n, "x" * 500) for n in range(200)])
        made.commit()
    return path


def flip(path):
    """Change the b-tree pages, which every look goes through."""
    content = bytearray(path.read_bytes())
    for start in range(0, len(content), 4096):
        content[start + 100 * (start == 0) : start + 8 + 100 * (start == 0)] = b"\xff" * 8
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_damaged_log_of_a_run_is_named_with_the_remedy(home):
    path = database(home.dagster / "history" / "runs" / "0a1b.db")
    assert list(damaged_databases(home)) == []
    flip(path)
    result = as_known_failure(wrapped(sqlite3.DatabaseError("database disk image is malformed")))
    assert isinstance(result, CorruptArtifact)
    assert str(result).startswith(f"{path}: the database is damaged (")
    assert "kinemill admin restore" in str(result)
    assert "only the log of one run" in str(result)


MAIN = ["history/runs.db", "history/runs/index.db", "schedules/schedules.db"]


def empty(path):
    path.write_bytes(b"")


def without_tables(path):
    path.unlink()
    with closing(sqlite3.connect(path)) as made:
        made.execute("PRAGMA user_version = 1")


def zeros(path):
    path.write_bytes(bytes(path.stat().st_size))


def flip_text(path):
    """Change a letter of a document: SQLite finds nothing wrong with the pages."""
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE event_logs (id, event)")
        made.executemany("INSERT INTO event_logs VALUES (?, ?)", [(1, '{"loss": NaN}'), (2, None)])
        made.execute("""INSERT INTO event_logs VALUES (3, '{"a": \x7f1}')""")
        made.commit()
        assert made.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def reference(home):
    """A trace that runs leave in a home."""
    path = home.dagster / "refs" / "latest" / "cart_pole" / "model.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")


@pytest.mark.parametrize("harm", [empty, without_tables, zeros, flip, cut, flip_text])
@pytest.mark.parametrize("name", MAIN)
def test_damage_is_found_before_dagster_opens_its_databases(home, harm, name):
    for one in MAIN:
        database(home.dagster / one)
    reference(home)
    check_databases(home)
    path = home.dagster / name
    harm(path)
    with pytest.raises(CorruptArtifact, match=f"only {_DATABASES[name]} is lost") as caught:
        check_databases(home)
    assert caught.value.exit_code == 3
    assert str(caught.value).startswith(f"{path}: the database is damaged (")
    assert "\n" not in str(caught.value)
    assert [str(one) for one in damaged_databases(home)] == [str(caught.value)]


def test_an_empty_database_of_a_home_without_history_is_no_damage(home):
    """A process that is killed while it creates one leaves it: nothing is lost."""
    for name in MAIN:
        empty(database(home.dagster / name))
        check_databases(home)
    log = database(home.dagster / "history" / "runs" / "0a1b.db")
    with pytest.raises(CorruptArtifact, match="it has no tables"):
        check_databases(home)
    for name in MAIN:
        (home.dagster / name).unlink()
    empty(log)  # the first moment of a run
    assert list(damaged_databases(home)) == []


def test_the_look_at_a_large_database_ends_in_time(home, monkeypatch):
    """A database that a look cannot read in its time is taken for whole."""
    path = database(home.dagster / MAIN[0])
    flip_text(path)
    monkeypatch.setattr("kinemill.failures._OPERATIONS", 1)
    monkeypatch.setattr("kinemill.failures._LOOK", 0.0)
    check_databases(home)
    assert len(list(damaged_databases(home))) == 1


@pytest.mark.parametrize(("harm", "name"), zip([empty, flip, empty], MAIN, strict=True))
def test_run_and_ui_end_with_one_line_before_any_work(home, harm, name):
    for one in MAIN:
        database(home.dagster / one)
    reference(home)
    harm(home.dagster / name)
    previous = sorted(path.name for path in home.store.rglob("*"))
    for command in (["run", TASK], ["ui"]):
        done = run_here(*command, KINEMILL_HOME=str(home.root))
        lines = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
        assert (done.returncode, len(lines)) == (3, 1), done.stderr
        assert lines[0].startswith(f"{home.dagster / name}: the database is damaged (")
        assert "kinemill admin restore" in lines[0]
    assert sorted(path.name for path in home.store.rglob("*")) == previous


def test_a_home_that_is_a_file_is_bad_input(tmp_path):
    position = tmp_path / "home"
    position.write_text("notes")
    for home in (position, position / "within"):
        done = run_here("data", "ingest", TASK, KINEMILL_HOME=str(home))
        assert done.returncode == 2
        assert done.stderr.startswith(
            f"{position}: is not a folder; expected a folder for KINEMILL_HOME"
        )
    assert position.read_text() == "notes"


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_the_exit_code_is_right_where_nothing_can_be_written(home):
    code = "import sys; from kinemill.failures import report\n"
    code += "from kinemill.store.disk_space import DiskFull\n"
    code += "sys.exit(report(DiskFull('/srv', 'full')))"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stderr=full, check=False)
    assert done.returncode == 4


@pytest.fixture
def small(tmp_path):
    """A file system of 8 MB; writable, or not: `small("ro")`."""
    position = tmp_path / "small"
    position.mkdir()

    def make(how="rw"):
        mount(position, f"size=8m,{how}")
        return Home(position / "home" if how == "rw" else position)

    yield make
    subprocess.run(["umount", str(position)], capture_output=True, check=False)


@pytest.mark.parametrize(
    "command",
    [
        ["data", "ingest", TASK, "logs"],
        pytest.param(["run", TASK, "--logs", "logs"], marks=pytest.mark.ci),
        pytest.param(["admin", "rebuild-catalog"], marks=pytest.mark.ci),
    ],
)
def test_a_full_file_system_is_exit_code_4_and_named(small, tmp_path, command, empty_database):
    home = small()
    home.make()
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "a.csv").write_text("timestamp,x\n0,1\n")
    shutil.copy(empty_database, home.mlflow_db)  # a registry, which is opened under a lock
    (home.store / "members" / "cart_pole").mkdir(parents=True)
    fill(home.root / "filler")
    assert shutil.disk_usage(home.root).free == 0
    done = kinemill(
        *(logs if part == "logs" else part for part in command), KINEMILL_HOME=str(home.root)
    )
    assert done.returncode == 4, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
    place, _, answer = line.partition(": ")
    assert place.startswith(str(home.root))
    assert answer == (
        f"no space left on the file system {tmp_path / 'small'}, 0 of 8,388,608 bytes are free; "
        "free space with kinemill admin gc; --dry-run lists what it would delete"
    )


@pytest.mark.parametrize("command", [["data", "ingest", TASK], ["run", TASK], ["ui"]])
def test_a_read_only_home_is_exit_code_2_and_named(small, command):
    home = small("ro")
    done = kinemill(*command, KINEMILL_HOME=str(home.root))
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
    place, _, answer = line.partition(": ")
    assert place.startswith(str(home.root))
    assert answer == (
        "Read-only file system; give this user write access, or set KINEMILL_HOME to a folder "
        "that they can write to"
    )


URL = "http://ada:secret@mlflow.lab:5000/api"


REFUSED = 'connection to server at "db" (10.0.0.7), port 5432 failed: Connection refused'


HINT = "\n\tIs the server running on that host and accepting TCP/IP connections?\n"


def of_postgres(text=REFUSED + HINT):
    """An error of psycopg2 as SQLAlchemy wraps it."""
    driver = psycopg2.OperationalError(text)
    error = sqlalchemy.exc.OperationalError("SELECT 1", {}, driver)
    error.__cause__ = driver
    return error


def of_request():
    request = requests.Request("GET", URL).prepare()
    return requests.ConnectionError(f"cannot reach {URL}", request=request)


def of_yaml():
    try:
        yaml.safe_load("receivers: [a\nb: {")
    except yaml.YAMLError as error:
        return error


def of_mlflow(status="INTERNAL_ERROR"):
    return mlflow.exceptions.RestException({"error_code": status, "message": "no"})


API = "API request to http://mlflow.lab:5000/api failed with exception Max retries exceeded"


OUTDATED = "Detected out-of-date database schema (found version a, but expected b)."


REVISION = "Can't locate revision identified by 'f00'"


S3 = botocore.exceptions.EndpointConnectionError(endpoint_url="http://s3.lab:9000/bucket")


TORCH = "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (of_postgres(), Unreachable, "postgresql://db:5432/mill: the PostgreSQL database does not"),
        (of_postgres("FATAL:  too many clients"), Unreachable, "respond (FATAL:  too many clients"),
        (of_postgres("No space left on device"), Unreachable, "(No space left on device); start"),
        (S3, Unreachable, "the request to the object store failed (Could not connect"),
        (botocore.exceptions.NoCredentialsError(), Unreachable, "(Unable to locate credentials)"),
        (ray.exceptions.RaySystemError("lost"), Unreachable, "check that it runs (ray status)"),
        (of_request(), Unreachable, "mlflow.lab:5000: the request failed (cannot reach http://ml"),
        (httpx.ConnectError("refused"), Unreachable, "the network: the request failed (refused)"),
        (socket.gaierror(-2, "Name unknown"), Unreachable, "a host name is unknown"),
        (ssl.SSLCertVerificationError(1, "self-signed"), Unreachable, "no secure connection"),
        (mlflow.exceptions.MlflowException(API), Unreachable, "MLflow: the request to MLflow fa"),
        (of_mlflow(), Unreachable, "check that the MLflow server runs and lets you in"),
        (mlflow.exceptions.MlflowException(OUTDATED), KinemillError, "mlflow db upgrade"),
        (alembic.util.exc.CommandError(REVISION), KinemillError, "newer versions of Dagster or"),
        (of_yaml(), BadInput, "<unicode string>:2:2: is not YAML (expected ',' or ']', but got"),
        (MemoryError("8 GB"), KinemillError, "memory: there is not enough (8 GB); close other"),
        (torch.OutOfMemoryError("CUDA"), KinemillError, "memory: there is not enough (CUDA)"),
        (RuntimeError(TORCH), KinemillError, "memory: there is not enough ([enforce fail]"),
        (RuntimeError("can't start new thread"), KinemillError, "(can't start new thread); close"),
        (ModuleNotFoundError(name="psycopg2.errors"), MissingPackage, "'kinemill[postgres]'"),
        (ModuleNotFoundError(name="polars"), MissingPackage, "pip install 'kinemill[cpu]'"),
        (UnicodeEncodeError("ascii", "µ", 0, 1, "no"), BadInput, "set PYTHONUTF8=1"),
        (sqlite3.OperationalError("database is locked"), KinemillError, "wait for the process"),
        (sqlite3.OperationalError("disk I/O error"), KinemillError, "check the disk"),
        (sqlite3.OperationalError("unable to open database file"), KinemillError, "ulimit -n"),
        (OSError(errno.EADDRINUSE, "x"), KinemillError, "choose another port"),
        (OSError(errno.EMFILE, "x", "/srv/a"), KinemillError, "/srv/a: Too many open files; ra"),
        (OSError(errno.EIO, "x", "/srv/a"), KinemillError, "/srv/a: Input/output error; check"),
        (OSError(errno.EROFS, "read-only", "/srv/a"), BadInput, "/srv/a: read-only; give this"),
        (OSError(errno.ENOSPC, "full", "/srv/a"), DiskFull, "/srv/a: no space left on the file"),
        (BrokenPipeError(errno.EPIPE, "x"), KinemillError, "the reader of the output has ended"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), Unreachable, "check that the server"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_error_of_the_environment_is_one_line(home, monkeypatch, capsys, error, kind, message):
    monkeypatch.setenv("KINEMILL_DATABASE", "postgresql://mill:secret@db:5432/mill")
    home.make()
    step = RuntimeError("a step failed")  # as Dagster wraps it
    step.__cause__ = error
    assert type(as_known_failure(step)) is kind
    assert report(step) == kind.exit_code
    written = capsys.readouterr().err
    assert message in written
    assert "secret" not in written
    assert (written.count("\n"), written.rstrip("\n").isprintable()) == (1, True)


@pytest.mark.parametrize(
    "error",
    [
        KeyError("version"),
        RuntimeError("shapes differ"),
        FileNotFoundError(errno.ENOENT, "x", "/srv/a"),
        ModuleNotFoundError(name="kinemill.nothing"),
        UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates"),
        of_mlflow("INVALID_PARAMETER_VALUE"),
        mlflow.exceptions.MlflowException("run x is not active"),
        sqlite3.OperationalError("no such column: x"),
        psycopg2.ProgrammingError("syntax error"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_of_the_code_is_a_bug(home, capsys, error):
    home.make()
    assert report(error) == 3
    assert "This is a bug in kinemill." in capsys.readouterr().err
