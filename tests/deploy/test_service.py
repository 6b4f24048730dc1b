"""One server a container: what each becomes, and that no password stands in a command."""

import os
import sys

import pytest

from kinemill.errors import BadInput
from pipelines import service


class Became(Exception):
    """What a process would have become."""


@pytest.fixture
def become(monkeypatch, tracked_home):
    def execv(_program, arguments):
        raise Became(arguments)

    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.chdir(tracked_home.root)
    for name in ("DAGSTER_HOME", "MLFLOW_BACKEND_STORE_URI", "MLFLOW_DEFAULT_ARTIFACT_ROOT"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "")

    def become(name):
        with pytest.raises(Became) as became:
            service.become(name)
        return became.value.args[0]

    return become


def test_mlflow_learns_its_database_from_the_environment_alone(become, tracked_home):
    arguments = become("mlflow")
    assert arguments[:4] == [sys.executable, "-m", "mlflow", "server"]
    assert not any("sqlite" in one for one in arguments)
    assert os.environ["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{tracked_home.mlflow_db}"
    assert os.environ["MLFLOW_DEFAULT_ARTIFACT_ROOT"] == tracked_home.artifacts.as_uri()


def test_dagsters_servers_start_on_the_checkouts_settings(become, tracked_home):
    arguments = become("webserver")
    assert arguments[1:3] == ["-m", "dagster_webserver"]
    assert (tracked_home.dagster / "dagster.yaml").is_file()
    assert os.environ["DAGSTER_HOME"] == str(tracked_home.dagster)


def test_an_unknown_server_is_refused_with_the_nearest_name():
    with pytest.raises(BadInput, match="did you mean 'daemon'"):
        service.command("demon")
