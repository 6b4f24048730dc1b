"""The ports that `kinemill ui` listens on."""

import socket

import pytest
from typer.testing import CliRunner

from kinemill.cli.app import app
from kinemill.errors import BadInput
from kinemill_dagster.pipelines.server.serve import free_port, free_ports


@pytest.fixture
def used():
    """A port that somebody listens on; the next one is free."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield one.getsockname()[1]


def test_taken_port_is_reported_with_its_replacement(used, capsys):
    assert free_ports({"Dagster": used})[0] > used
    message = capsys.readouterr().err
    assert f"Dagster: port {used} cannot be used; the server listens on {used + 1}" in message


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


def test_address_of_another_machine_is_refused():
    with pytest.raises(BadInput, match=r"--host 192\.0\.2\.1: .*an address of this machine"):
        free_port(3000, "192.0.2.1")  # of RFC 5737: nobody's


@pytest.mark.parametrize("option", ["--port", "--mlflow-port"])
@pytest.mark.parametrize("port", ["99999", "0", "-1"])
def test_invalid_port_is_bad_usage(option, port):
    message = CliRunner().invoke(app, ["ui", option, port])
    assert message.exit_code == 2
    assert f"Invalid value for '{option}'" in message.output
