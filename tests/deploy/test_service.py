"""One server a container: what each becomes, and that no password stands in a command."""

import os

import pytest

from kinemill.errors import BadInput
from kinemill_dagster.pipelines.server import service
from kinemill_dagster.pipelines.server.auth.__main__ import _parsed
from kinemill_dagster.pipelines.server.auth.users import Users


class Became(Exception):
    """Records the program that a process would execute."""


@pytest.fixture
def become(monkeypatch, tracked_home):
    def execv(_program, arguments):
        raise Became(arguments)

    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.chdir(tracked_home.root)
    monkeypatch.setenv("DAGSTER_HOME", "")

    def become(name):
        with pytest.raises(Became) as became:
            service.become(name)
        return became.value.args[0]

    return become


@pytest.fixture
def history(tracked_home):
    """A user, without whom no pages are served."""
    Users(tracked_home).put("ada", "admin", "correct horse battery")


@pytest.mark.usefixtures("history")
def test_both_servers_with_pages_are_behind_the_guard(become, tracked_home, monkeypatch):
    monkeypatch.setenv("KINEMILL_NAMES", "kinemill, https://mill.example")
    monkeypatch.setenv("KINEMILL_PROXY", "10.0.0.0/24")
    monkeypatch.setenv("KINEMILL_PROXY_SECRET", "s" * 32)
    for name, server in (("webserver", "dagster_webserver"), ("mlflow", "mlflow")):
        arguments = become(name)
        assert arguments[1:4] == ["-m", "kinemill_dagster.pipelines.server.auth", server]
        result = _parsed(arguments[3:])
        assert result.login
        assert result.host == "0.0.0.0"
        assert {"kinemill", "https://mill.example"} <= set(result.name)
        assert result.proxy == ["10.0.0.0/24"]
        assert not any(
            "sqlite" in argument or "sss" in argument for argument in arguments
        )  # anybody lists them
    assert (tracked_home.dagster / "dagster.yaml").is_file()
    assert os.environ["DAGSTER_HOME"] == str(tracked_home.dagster)


def test_without_users_no_pages_are_served(monkeypatch, tracked_home, tmp_path):
    for name in ("webserver", "mlflow"):
        with pytest.raises(BadInput, match="kinemill admin users add"):
            service.command(name, tracked_home)
    monkeypatch.setenv("KINEMILL_USERS", str(tmp_path / "users.json"))  # a mounted secret
    Users(tracked_home).put("ada", "admin", "correct horse battery")
    assert "--login" in service.command("mlflow", tracked_home)
    assert not (tracked_home.root / "users.json").exists()


def test_the_code_server_answers_on_loopback_alone(tracked_home):
    """It runs whatever it is asked to, and asks nobody who one is."""
    command = service.command("code", tracked_home)
    assert command[command.index("-h") + 1] == "127.0.0.1"


def test_an_unknown_server_is_refused_with_the_nearest_name(tracked_home):
    with pytest.raises(BadInput, match="did you mean 'daemon'"):
        service.command("demon", tracked_home)
