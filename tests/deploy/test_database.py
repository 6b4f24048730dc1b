"""PostgreSQL in workspace of SQLite and files: addresses, locks between machines, the demo task."""

import subprocess
import sys
import threading
import time

import pytest
from sqlalchemy.exc import OperationalError

from kinemill.errors import BadInput, Unreachable
from kinemill.store.database import address_of, database, held_by_all, spell
from kinemill.store.home import Home
from kinemill.store.locks import lock
from tests.conftest import ROOT

OPEN = (
    "import sys; from kinemill.store.home import Home; from pathlib import Path\n"
    "from kinemill.tracking import start_run\n"
    "print(start_run(Home(Path(sys.argv[1])), 'arm', 'key'))"
)


def test_without_the_variable_each_home_keeps_its_own(monkeypatch, home):
    from kinemill.tracking.database import tracking_uri

    monkeypatch.delenv("KINEMILL_DATABASE", raising=False)
    assert database() is None
    assert address_of("dagster") is None
    assert tracking_uri(home) == f"sqlite:///{home.mlflow_db}"


@pytest.fixture
def no_first_contact(monkeypatch):
    """Do not connect to the servers of a test, which do not exist."""
    monkeypatch.setattr("kinemill.store.database.require_response", lambda _: None)


def test_each_library_has_a_schema_of_its_own_in_the_one_database(
    monkeypatch, home, no_first_contact
):
    from sqlalchemy.engine import make_url

    from kinemill.tracking.database import tracking_uri

    monkeypatch.setenv("KINEMILL_DATABASE", "postgres://mill:a%40b@db:5432/mill?sslmode=require")
    url = make_url(tracking_uri(home))
    assert (url.drivername, url.password, url.database) == ("postgresql+psycopg2", "a@b", "mill")
    assert url.query["sslmode"] == "require"
    assert url.query["options"] == "-cstatement_timeout=60s -csearch_path=mlflow"
    assert make_url(address_of("optuna")).query["options"].endswith(" -csearch_path=optuna")
    assert spell(tracking_uri(home)) == "postgresql://db:5432/mill"  # no password for the logs


@pytest.mark.parametrize(
    "address",
    [
        "mysql://mill:secret@db/mill",
        "mill:secret@db/mill",
        "postgresql://mill:secret@db:5432",
        "postgresql://mill:secret/x@db/mill",
        "postgresql://mill:secret?x@db/mill",
        "postgresql://mill:secret#x@db/mill",
        "postgresql://mill:x@db:secret/mill",
    ],
)
def test_wrong_address_is_refused_without_quoting_it(monkeypatch, address):
    monkeypatch.setenv("KINEMILL_DATABASE", address)
    with pytest.raises(BadInput, match=r"KINEMILL_DATABASE.*expected postgresql://") as error:
        database()
    assert "secret" not in str(error.value)


def test_timeouts_are_those_of_the_module_unless_the_address_sets_them(
    monkeypatch, no_first_contact
):
    from sqlalchemy.engine import make_url

    monkeypatch.setenv("KINEMILL_DATABASE", "postgresql://db/mill?connect_timeout=3&options=-cx=1")
    query = make_url(address_of("kinemill")).query
    assert query["connect_timeout"] == "3"
    assert query["tcp_user_timeout"] == "30000"
    assert query["options"] == "-cstatement_timeout=60s -csearch_path=kinemill -cx=1"


def test_statement_of_a_library_ends_in_time_and_waiting_for_a_lock_does_not(database, monkeypatch):
    from sqlalchemy import create_engine, text

    from kinemill.failures import as_known_failure
    from kinemill.store import database as module

    monkeypatch.setattr(module, "_STATEMENT", 1)
    engine = create_engine(address_of("mlflow"))
    with pytest.raises(OperationalError) as error, engine.connect() as connection:
        connection.execute(text("SELECT pg_sleep(5)"))
    assert "canceling statement due to statement timeout" in str(as_known_failure(error.value))
    with module._connect(database) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout')")
        assert cursor.fetchone() == ("0",)


def test_a_server_that_is_not_there_is_named_without_its_password(monkeypatch):
    monkeypatch.setenv("KINEMILL_DATABASE", "postgresql://mill:secret@127.0.0.1:9/mill")
    with (
        pytest.raises(Unreachable, match=r":9/mill: the PostgreSQL database does") as error,
        held_by_all("anything"),
    ):
        pass
    assert "secret" not in str(error.value)


def test_dagsters_settings_name_the_database_by_a_variable_alone(database, home, monkeypatch):
    import yaml

    from kinemill_dagster.pipelines.instance import prepare

    monkeypatch.setenv("DAGSTER_HOME", "")
    folder = prepare(home)
    settings = yaml.safe_load((folder / "dagster.yaml").read_text())
    expected = {"postgres": {"postgres_url": {"env": "KINEMILL_DAGSTER_STORAGE"}}}
    assert settings["storage"] == expected
    assert settings["run_launcher"]["class"]  # the rest is that of the checkout
    assert database not in (folder / "dagster.yaml").read_text()


def test_a_lock_holds_between_homes_and_ends_with_its_holder(database, tmp_path):
    one, other, alerts, order = Home(tmp_path / "a"), Home(tmp_path / "b"), [], []
    hold = (
        "import sys, time; from pathlib import Path; from kinemill.store.home import Home\n"
        "from kinemill.store.locks import lock\n"
        "with lock(Home(Path(sys.argv[1])), 'ingest-arm'):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(one.root)], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert holder.stdout.readline() == b"held\n"

    def wait():
        with lock(other, "ingest-arm", alerts.append):
            order.append("held here")

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.5)
    assert order == []
    assert alerts == ["waiting for the lock 'ingest-arm': held on another machine"]
    holder.kill()
    holder.wait(10)
    waiting.join(10)
    assert order == ["held here"]


@pytest.mark.slow
def test_three_processes_make_mlflows_tables_at_once(database, tmp_path):
    command = [sys.executable, "-c", OPEN]
    started = [
        subprocess.Popen([*command, str(tmp_path / name)], stdout=subprocess.PIPE, cwd=ROOT)
        for name in "abc"
    ]
    runs = [process.communicate(timeout=100)[0].decode().strip() for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert len(set(runs)) == 3
    from kinemill.tracking import open_tracking

    client = open_tracking(Home(tmp_path / "d")).client
    experiment = client.get_experiment_by_name("arm").experiment_id
    assert {run.info.run_id for run in client.search_runs([experiment])} == set(runs)


@pytest.mark.slow
def test_shared_database_without_mlflow_tables_has_no_versions(database, home):
    from kinemill.register.versions import versions_of

    assert versions_of(home, "arm") == []
