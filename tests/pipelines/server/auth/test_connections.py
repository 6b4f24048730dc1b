"""Connections of slow clients are closed, and honest ones are answered meanwhile."""

import socket
import time

import pytest

from kinemill_dagster.pipelines.server.auth import connections
from kinemill_dagster.pipelines.server.auth.connections import LimitedProtocol
from tests.pipelines.server.auth.test_middleware import echo
from tests.rest_server import listening

HALF = b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "
WHOLE = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"


@pytest.fixture
def port(monkeypatch):
    """The port of a server with short limits."""
    monkeypatch.setattr(connections, "HEAD", 1.0)
    monkeypatch.setattr(connections, "BODY", 1.0)
    monkeypatch.setattr(connections, "MOST", 20)
    with listening(echo, http=LimitedProtocol, lifespan="off") as number:
        yield number


def opened(port, sent):
    made = socket.create_connection(("127.0.0.1", port), timeout=30)
    made.sendall(sent)
    return made


def ended(connection):
    """Whether the server closes a connection without an answer."""
    try:
        return connection.recv(1000) == b""
    except ConnectionResetError:
        return True


def answered(port):
    with opened(port, WHOLE) as connection:
        return connection.recv(1000).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("sent", [b"", HALF, POST, POST + b"123"])
def test_connection_without_a_complete_request_is_closed(port, sent):
    with opened(port, sent) as connection:
        assert ended(connection)


def test_slow_headers_are_cut_off(port):
    with opened(port, HALF) as connection:
        for _ in range(100):
            try:
                connection.sendall(b"x")
            except OSError:
                return
            time.sleep(0.1)
    pytest.fail("a connection was kept for 10 s by one byte of a header every 0.1 s")


def test_slow_body_is_read(port):
    with opened(port, POST) as connection:
        for _ in range(5):
            time.sleep(0.4)
            connection.sendall(b"12")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def test_oldest_incomplete_requests_are_closed_first(port):
    half = [opened(port, HALF) for _ in range(30)]
    assert answered(port)
    assert ended(half[0])
    for connection in half:
        connection.close()


def test_connection_serves_several_requests(port):
    with opened(port, WHOLE) as connection:
        for _ in range(3):
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
            time.sleep(0.5)
            connection.sendall(WHOLE)
