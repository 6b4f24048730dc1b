"""Dagster's storage in a home: what is checked of it exists in the tables that Dagster creates."""

import sqlite3
from contextlib import closing

import pytest

from kinemill.errors import CorruptArtifact
from kinemill.failures import _DATABASES, _DOCUMENTS, check_databases
from kinemill_dagster.pipelines.instance import open_instance


def columns(home):
    """Return the (table, column) pairs of the three databases."""
    for name in _DATABASES:
        with closing(sqlite3.connect(home.dagster / name)) as opened:
            tables = opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (table,) in tables.fetchall():
                for result in opened.execute(f"PRAGMA table_info({table})"):
                    yield table, result[1]


def test_dagster_creates_every_database_that_the_check_reads(workspace):
    with open_instance(workspace.home):
        pass
    check_databases(workspace.home)
    assert set(_DOCUMENTS) <= set(columns(workspace.home))


def test_instance_over_an_emptied_database_is_refused(workspace):
    with open_instance(workspace.home):
        pass
    runs = workspace.home.dagster / "history" / "runs.db"
    (workspace.home.dagster / "refs").mkdir()
    (workspace.home.dagster / "refs" / "model.json").write_text("{}")
    runs.write_bytes(b"")
    for suffix in ("-wal", "-shm"):
        runs.with_name(runs.name + suffix).unlink(missing_ok=True)
    with pytest.raises(CorruptArtifact, match="it has no tables"), open_instance(workspace.home):
        pytest.fail("opened")
    assert runs.read_bytes() == b""
