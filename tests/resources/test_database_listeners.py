"""Every process of Dagster waits for a locked database, also with engines that existed before."""

import sqlite3

import dagster as dg
import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.pool import NullPool

from kinemill.catalog.database import transaction
from kinemill.store.home import Home
from kinemill_dagster.pipelines.instance import prepare
from kinemill_dagster.resources import database_listeners

TIMEOUT = f"{database_listeners.TIMEOUT * 1000}"


def timeout_of(engine):
    with engine.connect() as connection:
        return str(connection.execute(text("PRAGMA busy_timeout")).scalar())


@pytest.fixture
def plain():
    """This process without the listeners, which another test may have installed."""
    listeners = {
        "connect": database_listeners._configure,
        "handle_error": database_listeners._explain_full_disk,
    }
    installed = [name for name, listen in listeners.items() if event.contains(Engine, name, listen)]
    for name in installed:
        event.remove(Engine, name, listeners[name])
    yield
    for name, listen in listeners.items():
        if event.contains(Engine, name, listen):
            event.remove(Engine, name, listen)
    if installed:
        database_listeners.install_listeners()


@pytest.mark.usefixtures("plain")
def test_an_engine_that_existed_before_waits_too(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/runs.db", poolclass=NullPool)
    assert timeout_of(engine) == "5000"
    database_listeners.install_listeners()
    database_listeners.install_listeners()
    assert timeout_of(engine) == TIMEOUT


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("part", ["run_coordinator", "run_launcher"])
def test_class_of_dagster_yaml_that_is_loaded_installs_the_listeners(part, home, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "")  # `prepare` sets it
    prepare(Home(home.root))
    with dg.DagsterInstance.get() as instance:
        assert not event.contains(Engine, "connect", database_listeners._configure)
        assert getattr(instance, part)
        with instance.run_storage.connect() as connection:
            timeout = connection.execute(text("PRAGMA busy_timeout")).scalar()
    assert str(timeout) == TIMEOUT


def test_log_of_a_database_is_written_back_after_the_block(tmp_path):
    path = tmp_path / "events.db"
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("PRAGMA journal_mode=WAL"))
    with database_listeners.open_databases():
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE events (id)"))
        assert path.with_name("events.db-wal").stat().st_size > 0
    assert not path.with_name("events.db-wal").exists()


@pytest.mark.usefixtures("plain")
def test_commit_to_a_write_ahead_log_waits_for_the_disk_in_the_catalog_alone(home, tmp_path):
    home.make()
    database_listeners.install_listeners()
    modes = {}
    for mode in ("wal", "delete"):
        with sqlite3.connect(tmp_path / mode) as connection:
            connection.execute(f"PRAGMA journal_mode = {mode}")
        with create_engine(f"sqlite:///{tmp_path / mode}").connect() as connection:
            modes[mode] = connection.execute(text("PRAGMA synchronous")).scalar()
    with transaction(home) as connection:
        modes["catalog"] = connection.execute(text("PRAGMA synchronous")).scalar()
    assert modes == {"wal": 1, "delete": 0, "catalog": 2}  # of the tests: 0, in `conftest.py`
