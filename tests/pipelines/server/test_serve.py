"""The ports that `kinemill ui` listens on."""

import socket

import pytest
from typer.testing import CliRunner

from kinemill.cli.app import app
from kinemill.errors import BadInput
from kinemill.store import publish_json
from kinemill.store.locks import lock
from kinemill_dagster.pipelines.server.serve import free_port, free_ports, serve
from kinemill_dagster.resources.links import ADDRESSES


@pytest.fixture
def used():
    """A port that somebody listens on; the next one is free."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield one.getsockname()[1]


def test_taken_port_is_reported_with_its_replacement(used, capsys):
    (free,) = free_ports({"Dagster": used})
    message = capsys.readouterr().err
    assert message == f"Dagster: port {used} cannot be used; the server listens on {free}\n"


def test_two_servers_on_the_same_port_get_different_ports(used, capsys):
    first, second = free_ports({"Dagster": used + 1, "MLflow": used + 1})
    assert first != second
    assert "MLflow: port" in capsys.readouterr().err


def test_free_port_is_taken_silently(used, capsys):
    free = free_port(used)
    capsys.readouterr()
    assert free_ports({"Dagster": free}) == [free]
    assert capsys.readouterr().err == ""


def test_port_beyond_the_last_is_refused():
    with socket.socket() as last:
        last.bind(("127.0.0.1", 65535))
        last.listen()
        with pytest.raises(BadInput, match="cannot be used"):
            free_port(65535)


@pytest.mark.parametrize("started", [False, True])
def test_home_that_is_served_names_the_server_and_its_pages(home, monkeypatch, started):
    monkeypatch.setattr("kinemill.store.locks.holder", lambda _: "held by ann, process 7")
    fix = "wait until it prints the address of its pages"
    if started:
        publish_json(home.dagster / "servers" / ADDRESSES, {"Dagster": "http://127.0.0.1:3000"})
        fix = "open http://127.0.0.1:3000/"
    with lock(home, "up"), pytest.raises(BadInput) as caught:
        serve()
    assert str(caught.value) == f"{home.root}: is served already, held by ann, process 7; {fix}"


def test_address_of_another_machine_is_refused():
    with pytest.raises(BadInput, match=r"--host 192\.0\.2\.1: .*an address of this machine"):
        free_port(3000, "192.0.2.1")  # of RFC 5737: nobody's


@pytest.mark.parametrize("option", ["--port", "--mlflow-port"])
@pytest.mark.parametrize("port", ["99999", "0", "-1"])
def test_invalid_port_is_bad_usage(option, port):
    message = CliRunner().invoke(app, ["ui", option, port])
    assert message.exit_code == 2
    assert f"Invalid value for '{option}'" in message.output
