"""The client of `kinemill runs` with servers that are hostile or are not kinemill servers."""

import json

import pytest

from kinemill import bounded_http
from kinemill.cli import rest_client
from kinemill.cli.rest_client import Server, find_server
from kinemill.errors import BadInput, KinemillError, Unreachable
from kinemill.rest_documents import NewPoints, RunDocument, RunList, RunMetrics
from tests.hostile_server import ANSWERS, hostile_server, reply

RUN = {
    "id": "1a2b", "task": "arm", "status": "running", "step": 1, "total_steps": 2, "loss": None,
    "parameters": {}, "error": None, "model": None, "owner": None, "resumed_by": None,
    "created_at": "2026-01-01T00:00:00Z", "completed_at": None,
    "stage": None, "why": None, "waits_for": None,
}  # fmt: skip
METRICS = {"run": "1a2b", "task": "arm", "status": "running", "total_steps": 2}
RUNS = {
    "runs: number": (RunList, {"runs": 5}),
    "runs: empty run": (RunList, {"runs": [{}]}),
    "id: list": (RunDocument, RUN | {"id": ["a"]}),
    "status: unknown": (RunDocument, RUN | {"status": "\x1b[2J"}),
    "parameters: list": (RunDocument, RUN | {"parameters": []}),
    "created_at: number": (RunDocument, RUN | {"created_at": 5}),
    "point: empty": (RunMetrics, METRICS | {"points": [{}]}),
    "point: text": (RunMetrics, METRICS | {"points": [{"step": 1, "time": 0.0, "loss": "x"}]}),
    "point: no time": (RunMetrics, METRICS | {"points": [{"step": 1}]}),
    "points: number": (RunMetrics, METRICS | {"points": 1}),
}
STREAMS = {
    "not JSON": ("data: <html>", "not JSON"),
    "nested": (f"data: {'[' * 200_000}", "not JSON"),
    "wrong type": ('data: {"total_steps": 1, "points": {}}', "points: Input should be"),
    "long line": (f"data: {'x' * 2**21}", "sent a line of more than"),
    "ended early": (": comment", "ended the stream"),
}


@pytest.fixture(scope="module")
def server():
    with hostile_server() as served:
        yield served


@pytest.fixture
def impatient(monkeypatch):
    """For answers that have no end; a busy machine answers others later than this."""
    monkeypatch.setattr(rest_client, "_SECONDS", 0.3)


@pytest.fixture
def client(server, home, monkeypatch):
    monkeypatch.setenv("KINEMILL_URL", server.url)
    monkeypatch.setenv("KINEMILL_TOKEN", "secret")
    return find_server()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", [name for name in ANSWERS if not callable(ANSWERS[name])])
def test_hostile_answer_is_one_line(client, server, name):
    server.answer = ANSWERS[name]
    with pytest.raises(KinemillError) as error:
        client.get("runs", RunList, limit=10)
    line = str(error.value)
    assert line.isprintable()
    assert len(line) < 1000
    assert "secret" not in line


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", [name for name in ANSWERS if name.startswith(("endl", "slow"))])
def test_answer_without_end_is_limited(client, server, name):
    server.answer = ANSWERS[name]
    with pytest.raises(Unreachable):
        client.post("runs", RunDocument, {"task": "arm"})


@pytest.mark.parametrize("name", RUNS)
def test_document_with_wrong_types_is_refused(client, server, name):
    kind, document = RUNS[name]
    server.answer = reply(document)
    with pytest.raises(Unreachable, match="is not a kinemill server: in its response") as error:
        client.get("runs/1a2b", kind)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("name", STREAMS)
def test_hostile_stream_is_one_line(client, server, name):
    line, message = STREAMS[name]
    server.answer = reply(f"event: points\n{line}\n\n")
    with pytest.raises(Unreachable, match=message) as error:
        list(client.events("runs/1a2b/metrics/stream", {"points": NewPoints}))
    assert str(error.value).isprintable()


def test_sound_answers_are_documents(client, server):
    server.answer = reply({"runs": [RUN]})
    assert client.get("runs", RunList).model_dump() == {"runs": [RUN]}
    points = [{"step": 1, "time": 0.5, "loss": 0.25, "lr": None}]
    server.answer = reply(METRICS | {"points": points})
    assert client.get("runs/1a2b/metrics", RunMetrics).points == points
    server.answer = reply(f"event: end\ndata: {json.dumps(RUN)}\n\n")
    events = list(client.events("runs/1a2b/metrics/stream", {"end": RunDocument}))
    assert [(name, data.model_dump()) for name, data in events] == [("end", RUN)]


@pytest.mark.parametrize("url", ["http://[", "ftp://host", "host:3000", "file:///etc/passwd"])
def test_address_that_is_not_http_is_refused(home, monkeypatch, url):
    monkeypatch.setenv("KINEMILL_URL", url)
    with pytest.raises(BadInput, match="expected http://HOST:PORT"):
        find_server()


def test_token_that_no_header_can_have_is_not_printed(client, monkeypatch):
    for token in ("secret\n", "sécret"):
        monkeypatch.setenv("KINEMILL_TOKEN", token)
        with pytest.raises(BadInput, match="has characters") as error:
            client.get("runs", RunList)
        assert token.strip() not in str(error.value)


def test_server_away_is_one_line(home):
    with pytest.raises(Unreachable, match=r"does not respond.*kinemill ui"):
        Server("http://127.0.0.1:9").get("runs", RunList)
    assert bounded_http.printable("a\nb\x1b") == "a b "
