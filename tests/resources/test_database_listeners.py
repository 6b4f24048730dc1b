"""Every process of Dagster waits for a locked database, also with engines that existed before."""

import subprocess
import sys

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.pool import NullPool

from kinemill.store.home import Home
from kinemill_dagster.pipelines.instance import prepare
from kinemill_dagster.resources import database_listeners
from tests.conftest import ROOT

TIMEOUT = f"{database_listeners.TIMEOUT * 1000}"
OF_A_PROCESS = """
import dagster as dg
from sqlalchemy import text

with dg.DagsterInstance.get() as instance:
    instance.{part}
    with instance.run_storage.connect() as connection:
        print(connection.execute(text("PRAGMA busy_timeout")).scalar())
"""


def timeout_of(engine):
    with engine.connect() as connection:
        return str(connection.execute(text("PRAGMA busy_timeout")).scalar())


@pytest.fixture
def plain():
    """This process without the listeners, which another test may have installed."""
    listeners = {
        "connect": database_listeners._set_timeout,
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


@pytest.mark.parametrize("part", ["run_coordinator", "run_launcher"])
def test_the_classes_of_dagster_yaml_install_the_listeners(part, home, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "")  # `prepare` sets it
    prepare(Home(home.root))
    command = [sys.executable, "-c", OF_A_PROCESS.format(part=part)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == TIMEOUT
