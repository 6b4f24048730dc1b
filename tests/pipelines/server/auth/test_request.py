"""Servers receive one canonical form of each request, for any form that a client sends."""

import json

import pytest

from kinemill.store.home import Home
from kinemill_dagster.pipelines.server.auth.calls import Call, Refused
from kinemill_dagster.pipelines.server.auth.request import (
    LONGEST_TEXT,
    check_texts,
    parse_object,
    parse_request,
)
from kinemill_dagster.pipelines.server.auth.users import Users, home_token
from tests.pipelines.server.auth.test_middleware import DELETE, LAUNCH, MLFLOW, OWN, guarded, post

__all__ = ["guarded"]  # a fixture
PASSWORD = "correct horse battery"
HARMLESS = json.dumps({"query": "{ version }"})
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def viewer(guarded, home: Home):
    """A client with a viewer's token."""
    users = Users(home)
    users.put("vera", "viewer", PASSWORD)
    client = guarded(login=True)
    client.headers["Authorization"] = f"Bearer {users.renew_token('vera')}"
    return client


@pytest.mark.parametrize("kind", ["Application/JSON", "application/json", "APPLICATION/JSON"])
def test_query_string_beside_a_body_is_dropped(viewer, kind):
    """A viewer became an admin: Dagster tests the content type with case, and then runs the URL."""
    response = viewer.post(
        "/graphql", params={"query": DELETE}, content=HARMLESS, headers={"Content-Type": kind}
    )
    assert response.status_code == 200
    observed = response.json()
    assert observed["query"] == ""
    assert observed["headers"]["content-type"] == "application/json"
    assert "version" in json.loads(observed["body"])["query"]
    assert int(observed["headers"]["content-length"]) == len(observed["body"])


@pytest.mark.parametrize("kind", ["text/plain", "application/graphql", "multipart/form-data", ""])
def test_request_with_a_token_needs_a_json_body(viewer, kind):
    response = viewer.post(
        "/graphql", params={"query": DELETE}, content=HARMLESS, headers={"Content-Type": kind}
    )
    assert response.status_code == 415


def test_headers_that_change_the_meaning_are_dropped(guarded, home):
    token = {"Authorization": f"Bearer {home_token(home)}"}
    odd = {"X-HTTP-Method-Override": "DELETE", "X-MLFLOW-WORKSPACE": "other"}
    odd |= {"X-Kinemill-May": "administer", "Cookie": "a=b", "Forwarded": "for=1.2.3.4"}
    observed = guarded().get("/runs/1", headers={**token, **odd}).json()["headers"]
    expected = {"host", "accept", "accept-encoding", "user-agent"}
    assert set(observed) <= expected | {"x-kinemill-user", "x-kinemill-may"}


@pytest.mark.parametrize(
    "path",
    [
        *("/logs/..%2f..%2fusers.json", "/logs/..", "/logs/%2e%2e/x", "/logs/a%5c..%5cb"),
        *("//graphql", "/a%2fb", "/a%00b", "/a%0ab", "/%ff", "/a%252fb", "/a//b"),
    ],
)
def test_ambiguous_path_is_refused(guarded, path):
    response = guarded().get(f"http://127.0.0.1:3000{path}")
    assert response.status_code == 400 or response.json()["path"] in {"/", "/users.json"}, (
        response.text
    )


@pytest.mark.parametrize("path", ["/logs", "/logs/x", "/logs/a/b", "/logs/a/complete"])
def test_unknown_log_is_404(guarded, path):
    assert guarded().get(path).status_code == 404


def test_path_is_normalized(guarded):
    observed = guarded().get("/runs/a%20b/").json()
    assert observed["path"] == "/runs/a b"


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND"])
def test_unused_method_is_refused(guarded, method):
    assert guarded().request(method, "/graphql", headers=OWN).status_code == 405


STRICT = {
    "a key twice": b'{"query": "{ version }", "query": "mutation { x }"}',
    "a key twice inside": b'{"variables": {"a": 1, "a": 2}}',
    "NaN": b'{"variables": {"a": NaN}}',
    "too large a number": b'{"variables": {"a": 1e999}}',
    "a list": b"[{}]",
    "trailing text": b'{"query": "{ version }"} {}',
    "UTF-16": '{"query": "{ version }"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"query": "{ version }"}',
    "no UTF-8": b'{"query": "\xff"}',
    "half a surrogate": b'{"query": "\\ud800"}',
    "too deep": b'{"a":' * 100 + b"1" + b"}" * 100,
    "far too deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a long number": b'{"a": ' + b"9" * 5000 + b"}",
    "comments": b'{"a": 1 /* no */}',
}


@pytest.mark.parametrize("name", STRICT)
def test_ambiguous_json_is_refused(name):
    with pytest.raises(Refused) as refused:
        parse_object(STRICT[name])
    assert refused.value.status == 400


def test_compressed_body_is_refused(viewer):
    headers = {**JSON, "Content-Encoding": "gzip"}
    assert viewer.post("/graphql", content=HARMLESS, headers=headers).status_code == 415


@pytest.mark.parametrize("name", ["Content-Type", "Host"])
def test_duplicate_header_is_refused(guarded, name):
    value = {"Content-Type": "application/json", "Host": "127.0.0.1:3000"}[name]
    headers = [*JSON.items(), *OWN.items(), (name, value)]
    headers += [("Host", value)] if name == "Host" else []
    assert guarded().post("/graphql", content=HARMLESS, headers=headers).status_code == 400


def test_mlflow_receives_the_body_without_a_query_string(guarded, home):
    headers = {"Authorization": f"Bearer {home_token(home)}"}
    client, url = guarded(MLFLOW), "/api/2.0/mlflow/experiments/create"
    response = client.post(url, json={"name": "a"}, headers=headers)
    assert json.loads(response.json()["body"]) == {"name": "a"}
    response = client.post(url, json={"name": "a"}, params={"name": "b"}, headers=headers)
    assert (json.loads(response.json()["body"]), response.json()["query"]) == ({"name": "a"}, "")


def test_launch_is_sent_as_it_was_authorized(guarded):
    pair = f"query Q {{ version }} {LAUNCH.replace('mutation', 'mutation M')}"
    body = {"query": pair, "operationName": "Q", "extensions": {"persistedQuery": {}}}
    sent = json.loads(guarded().post("/graphql", json=body).json()["body"])
    assert set(sent) == {"query", "variables"}
    assert "mutation" not in sent["query"]
    assert post(guarded(), pair, **OWN).status_code == 400


def test_content_length_with_transfer_encoding_is_refused():
    headers = {"content-length": ["3"], "transfer-encoding": ["chunked"]}
    with pytest.raises(Refused, match="contradict") as refused:
        parse_request(Call("POST", headers), {"method": "POST", "path": "/graphql"})
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"task": {"description": "x" * (LONGEST_TEXT + 1)}}, "description"),
        ({"tags": [{"key": "a", "value": "x" * 3_000_000}]}, "value"),
        ({"x" * (LONGEST_TEXT + 1): 1}, "a key"),
    ],
    ids=["description", "tag", "key"],
)
def test_long_text_is_refused(body, where):
    with pytest.raises(Refused, match=f"{where} has .* at most 10,000") as refused:
        check_texts(body)
    assert refused.value.status == 400


def test_text_of_the_limit_and_documents_are_accepted():
    check_texts({"description": "x" * LONGEST_TEXT, "model_json": "x" * 50_000}, but={"model_json"})
