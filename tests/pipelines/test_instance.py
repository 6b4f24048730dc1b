"""Dagster's storage in a home: what is checked of it exists in the tables that Dagster creates."""

import sqlite3
from contextlib import closing

import pytest

from kinemill.errors import CorruptArtifact
from kinemill.failures import _DATABASES, _DOCUMENTS, check_databases
from pipelines.instance import open_instance


def columns(home):
    """Return the (table, column) pairs of the three databases."""
    for name in _DATABASES:
        with closing(sqlite3.connect(home.dagster / name)) as opened:
            tables = opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (table,) in tables.fetchall():
                for found in opened.execute(f"PRAGMA table_info({table})"):
                    yield table, found[1]


def test_dagster_creates_every_document_that_the_check_reads(place):
    with open_instance(place.home):
        pass
    check_databases(place.home)
    assert set(_DOCUMENTS) <= set(columns(place.home))


def test_an_instance_does_not_open_over_an_emptied_database(place):
    with open_instance(place.home):
        pass
    runs = place.home.dagster / "history" / "runs.db"
    (place.home.dagster / "refs").mkdir()
    (place.home.dagster / "refs" / "model.json").write_text("{}")
    runs.write_bytes(b"")
    for suffix in ("-wal", "-shm"):
        runs.with_name(runs.name + suffix).unlink(missing_ok=True)
    with pytest.raises(CorruptArtifact, match="it has no tables"), open_instance(place.home):
        pytest.fail("opened")
    assert runs.read_bytes() == b""
