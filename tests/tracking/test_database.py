"""MLflow's database of a home that was moved, and of one that a newer MLflow wrote."""

import sqlite3
from contextlib import closing

import pytest

from kinemill.errors import KinemillError
from kinemill.store.home import Home
from kinemill.tracking.database import open_tracking


@pytest.fixture
def moved(tmp_path):
    """A home whose database stores the artifact paths of the folder that it came from."""
    source = Home(tmp_path / "here")
    open_tracking(source).experiment("arm")
    source.root.rename(tmp_path / "elsewhere")
    return Home(tmp_path / "elsewhere")


def test_moved_home_has_its_artifact_paths_rewritten(moved):
    experiment = open_tracking(moved).client.get_experiment_by_name("arm")
    assert experiment.artifact_location == f"{moved.artifacts.as_uri()}/arm"


def test_newer_schema_is_refused_without_a_change_of_the_file(moved):
    with closing(sqlite3.connect(moved.mlflow_db)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'newer'")
    content = moved.mlflow_db.read_bytes()
    with pytest.raises(KinemillError, match=r"newer.*admin upgrade"):
        open_tracking(moved)
    assert moved.mlflow_db.read_bytes() == content
