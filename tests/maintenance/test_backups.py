"""Backups: what is in them, what is copied again, and bringing a home back."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.maintenance.backups import back_up, copy_database, databases, open_backup
from kinemill.maintenance.restore import restore
from kinemill.store import file_digest, open_ref
from kinemill.store.home import Home
from kinemill.store.locks import holders, in_use, lock, unused
from kinemill.task.protocols import NullReporter
from tests.register.conftest import TASK

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def full(home, made):
    """A home with an outcome, a drop folder, raw bytes, a database in use and leftovers."""
    ref = made("model", n=1)
    (home.logs("cart")).mkdir(parents=True)
    (home.logs("cart") / "a.csv").write_bytes(b"t,x\n0,1\n")
    raw = home.store / "raw" / "ab"
    raw.mkdir(parents=True)
    digest = file_digest(home.logs("cart") / "a.csv")
    (raw / f"{digest}.csv").write_bytes(b"t,x\n0,1\n")
    (raw / f"{digest}.csv").chmod(0o444)
    with closing(sqlite3.connect(home.mlflow_db)) as database, database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE numbers (value)")
        database.executemany("INSERT INTO numbers VALUES (?)", [(n,) for n in range(1000)])
    (home.store / ".staging" / "half").mkdir(parents=True, exist_ok=True)
    (home.store / ".staging" / "half" / "x").write_bytes(b"x")
    (home.root / "alerts.yaml").write_text("urls: ['json://user:secret@host']\n")
    return home, ref


def test_database_of_a_search_is_copied_by_sqlite(home):
    path = home.root / "tune" / "cart" / "cart-1" / "optuna.db"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE trials (number)")
    assert list(databases(home)) == [path]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "folder"


def again(folder, tmp_path, **more):
    there = Home(tmp_path / "again")
    restore(there, folder, NullReporter(), **more)
    return there


def test_a_restored_home_has_every_file_as_it_was(full, folder, tmp_path):
    home, ref = full
    result = back_up(home, folder, NullReporter())
    there = again(folder, tmp_path)
    assert open_ref(there, ref).is_dir()
    names = {path.relative_to(there.root).as_posix() for path in there.root.rglob("*.csv")}
    assert len(names) == 2
    for name in names:
        old, new = (home.root / name).stat(), (there.root / name).stat()
        assert (new.st_mtime_ns, new.st_mode) == (old.st_mtime_ns, old.st_mode)
        assert (there.root / name).read_bytes() == b"t,x\n0,1\n"
    with closing(sqlite3.connect(there.mlflow_db)) as database:
        assert database.execute("SELECT sum(value) FROM numbers").fetchone() == (499500,)
    assert not (there.root / "alerts.yaml").exists()
    assert b"secret" not in b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())
    assert not (there.store / ".staging").exists()
    assert result["added"]["files"] == result["files"] - 1  # the log and its raw bytes are the same


def test_a_second_backup_copies_only_what_is_new(full, folder, made):
    home, _ = full
    first = back_up(home, folder, NullReporter())
    again = back_up(home, folder, NullReporter())
    assert again["added"] == {"files": 0, "bytes": 0}
    made("model", n=2)
    third = back_up(home, folder, NullReporter())
    assert third["files"] == first["files"] + 3
    assert third["added"]["files"] <= 2  # rows and summary have the bytes of the first model's


def test_a_database_is_whole_while_it_is_written(full, folder, tmp_path):
    """Every transaction adds a pair of numbers that cancel: a copy cut in between would not."""
    home, _ = full
    stop = threading.Event()

    def write():
        with closing(sqlite3.connect(home.mlflow_db, timeout=30)) as database:
            while not stop.is_set():
                with database:
                    database.execute("INSERT INTO numbers VALUES (7)")
                    database.execute("INSERT INTO numbers VALUES (-7)")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            copied = tmp_path / f"copy-{number}.db"
            copy_database(home.mlflow_db, copied)
            with closing(sqlite3.connect(copied)) as database:
                assert database.execute("SELECT sum(value) FROM numbers").fetchone() == (499500,)
                assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        stop.set()
        writer.join()


def test_what_is_damaged_is_named_and_left_out_of_the_backup(full, folder, made):
    home, ref = full
    whole = made("model", n=2)
    (home.root / ref.path / "rows.bin").write_bytes(bytes(999) + b"x")
    result = back_up(home, folder, NullReporter())
    assert [line.split()[0] for line in result["damaged"]] == [f"{ref.path}/rows.bin"]
    there = Home(folder.parent / "again")
    restore(there, folder, NullReporter())
    assert open_ref(there, whole).is_dir()
    assert not (there.root / ref.path).exists()


def test_an_emptied_database_of_dagster_is_not_backed_up(full, folder):
    """A backup holds what the error of a damaged database advises to restore."""
    home, _ = full
    reference = home.dagster / "refs" / "latest" / "tiny" / "model.json"
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text("{}")
    runs = home.dagster / "history" / "runs.db"
    runs.parent.mkdir(parents=True, exist_ok=True)
    runs.write_bytes(b"")
    with pytest.raises(CorruptArtifact, match="it has no tables"):
        back_up(home, folder, NullReporter())
    assert not folder.exists()


def test_a_damaged_backup_is_noticed_before_anything_is_in_its_place(full, folder, tmp_path):
    home, _ = full
    back_up(home, folder, NullReporter())
    location = max((folder / "objects").rglob("*"), key=lambda path: path.stat().st_size)
    location.chmod(0o644)
    location.write_bytes(b"y" + location.read_bytes()[1:])
    there = Home(tmp_path / "again")
    with pytest.raises(CorruptArtifact, match="bytes have changed"):
        restore(there, folder, NullReporter())
    assert {path.name for path in there.root.iterdir()} <= {".locks", ".restored"}
    back_up(home, folder, NullReporter())  # of the same size: it is believed until it is read


def test_a_home_that_is_not_empty_is_replaced_only_when_told(full, folder):
    home, ref = full
    back_up(home, folder, NullReporter())
    (home.logs("cart") / "b.csv").write_bytes(b"new")
    with pytest.raises(BadInput, match="not empty"):
        restore(home, folder, NullReporter())
    result = restore(home, folder, NullReporter(), replace=True)
    assert not (home.logs("cart") / "b.csv").exists()
    old = Path(result["replaced"])
    assert (old / "logs" / "cart" / "b.csv").read_bytes() == b"new"
    assert (home.root / "alerts.yaml").exists()
    assert open_ref(home, ref).is_dir()


def test_a_home_in_use_is_not_replaced(full, folder):
    home, _ = full
    back_up(home, folder, NullReporter())
    with lock(home, "up"), pytest.raises(BadInput, match="in use by"):
        restore(home, folder, NullReporter(), replace=True)


@pytest.mark.parametrize(
    "change",
    [
        {0: "../outside"}, {0: "/tmp/outside"}, {0: "a/../../outside"}, {0: ""}, {0: 5},
        {1: "../../x"}, {1: None}, {2: "1"}, {3: 1.5}, {4: True},
    ],
)  # fmt: skip
def test_backup_that_lists_files_elsewhere_is_refused(full, folder, tmp_path, change):
    home, _ = full
    back_up(home, folder, NullReporter())
    path = folder / "backup.json"
    document = json.loads(path.read_text())
    for column, value in change.items():
        document["files"][0][column] = value
    path.write_text(json.dumps(document))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CorruptArtifact, match="expected path in the home, sha256"):
        restore(Home(tmp_path / "again"), folder, NullReporter())
    assert sorted(tmp_path.rglob("*")) == before


def test_restored_file_has_no_setuid_bit(full, folder, tmp_path):
    home, _ = full
    back_up(home, folder, NullReporter())
    path = folder / "backup.json"
    document = json.loads(path.read_text())
    for line in document["files"]:
        line[3] |= 0o6000
    path.write_text(json.dumps(document))
    there = again(folder, tmp_path)
    assert not any(file.stat().st_mode & 0o6000 for file in there.root.rglob("*"))


def test_backup_of_another_home_is_not_replaced(full, folder, tmp_path):
    back_up(full[0], folder, NullReporter())
    other = Home(tmp_path / "other")
    (other.root / "logs").mkdir(parents=True)
    with pytest.raises(BadInput, match="backup of another home"):
        back_up(other, folder, NullReporter())


@pytest.mark.parametrize("location", ["inside", "other"])
def test_a_backup_goes_neither_into_the_home_nor_over_something_else(full, tmp_path, location):
    home, _ = full
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("x")
    to = home.root / "folder" if location == "inside" else tmp_path / "other"
    with pytest.raises(BadInput):
        back_up(home, to, NullReporter())


POINTS = ["restore.read:1", "restore.replaced:1", "moves.renamed:1"]


@pytest.mark.parametrize("point", POINTS)
def test_killed_while_restoring_the_home_says_so_and_once_more_mends_it(full, folder, point):
    home, ref = full
    back_up(home, folder, NullReporter())
    killed(
        home, folder, point, "restore(Home.find(), Path(sys.argv[1]), NullReporter(), replace=True)"
    )
    if point != "restore.read:1":
        with pytest.raises(BadInput, match="incompletely restored"):
            Home.resolve()
    restore(home, folder, NullReporter(), replace=point == "restore.read:1")
    assert open_ref(Home.resolve(), ref).is_dir()
    with closing(sqlite3.connect(home.mlflow_db)) as database:
        assert database.execute("SELECT count(*) FROM numbers").fetchone() == (1000,)


@pytest.mark.parametrize("point", ["moves.renamed:1", "backup.copied:1", "backup.listed:1"])
def test_killed_backup_leaves_the_previous_one_usable_and_the_next_completes(
    full, folder, tmp_path, made, point
):
    home, ref = full
    back_up(home, folder, NullReporter())
    later = made("model", n=2)
    shutil.rmtree(home.logs("cart"))
    killed(home, folder, point, "back_up(Home.find(), Path(sys.argv[1]), NullReporter())")
    there = again(folder, tmp_path)
    assert open_ref(there, ref).is_dir()
    assert (there.root / later.path).is_dir() == (point == "backup.listed:1")
    assert (there.logs("cart") / "a.csv").is_file() == (point != "backup.listed:1")
    (folder / "objects" / ".aside-half").write_bytes(b"half")
    back_up(home, folder, NullReporter())
    stored = {path.name for path in (folder / "objects").rglob("*") if path.is_file()}
    assert stored == {entry.sha256 for entry in open_backup(folder)[1]}


@pytest.mark.parametrize("point", ["moves.renamed:1", "backup.copied:1"])
def test_killed_first_backup_is_none_and_its_files_are_not_copied_again(full, folder, point):
    home, _ = full
    killed(home, folder, point, "back_up(Home.find(), Path(sys.argv[1]), NullReporter())")
    with pytest.raises(BadInput, match=r"has no backup\.json"):
        open_backup(folder)
    assert back_up(home, folder, NullReporter())["added"]["files"] <= 1  # a database that changed


def killed(home, folder, point, what):
    script = (
        "import sys; from pathlib import Path; from kinemill.store.home import Home\n"
        "from kinemill.maintenance.backups import back_up\n"
        "from kinemill.maintenance.restore import restore\n"
        f"from kinemill.task.protocols import NullReporter\n{what}"
    )
    message = {**os.environ, "KINEMILL_FAULT": point, "KINEMILL_HOME": str(home.root)}
    command = [sys.executable, "-c", script, folder]
    done = subprocess.run(command, cwd=ROOT, env=message, check=False)
    assert done.returncode == -9


RUN = """
import sys, time
from pathlib import Path
import dagster as dg
from kinemill.store.home import Home
from kinemill_dagster.resources.task_resource import define_task_resource
from kinemill.task import load_task
with dg.build_resources({"cart": define_task_resource(load_task(sys.argv[1]))}) as made:
    print("began", flush=True)
    sys.stdin.read()
"""


@pytest.mark.ci
def test_nothing_is_restored_under_a_run_however_it_was_launched_and_no_run_begins_meanwhile(
    full, folder, tmp_path, empty_database
):
    """Each run of Dagster has the task as a resource from its start to its end."""
    home, _ = full
    shutil.copy(empty_database, home.mlflow_db)
    back_up(home, folder, NullReporter())
    (tmp_path / "cart.yaml").write_text(TASK)
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path / "cart.yaml")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"began\n"  # and no stage holds any lock
    with pytest.raises(BadInput, match=rf"in use by .*\({process.pid}\), use/"):
        restore(home, folder, NullReporter(), replace=True)
    process.kill()
    process.wait()
    with (
        unused(home),
        pytest.raises(BadInput, match="is being restored; wait until the restore has"),
    ):
        in_use(home, "run").__enter__()
    assert restore(home, folder, NullReporter(), replace=True)["replaced"]


def test_several_runs_hold_a_home_at_once(home):
    with in_use(home, "run-a"), in_use(home, "run-b"):
        assert len([holder for holder in holders(home) if holder.lock.startswith("use/run-")]) == 2
        with pytest.raises(BadInput, match="in use by"), unused(home):
            pass
    assert holders(home) == []
    with unused(home):
        pass
