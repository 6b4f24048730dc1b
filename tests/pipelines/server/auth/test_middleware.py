"""The guard around an app that says what reached it: no server, no port."""

import base64
import json

import pytest
from starlette.responses import JSONResponse
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from kinemill.errors import BadInput
from kinemill_dagster.pipelines.server.auth.dagster_site import DagsterSite, StoredRun
from kinemill_dagster.pipelines.server.auth.login import Entrance
from kinemill_dagster.pipelines.server.auth.middleware import Guard
from kinemill_dagster.pipelines.server.auth.mlflow_site import MlflowSite
from kinemill_dagster.pipelines.server.auth.rules import HERE, Rules
from kinemill_dagster.pipelines.server.auth.users import Users, home_token
from tests.pipelines.server.auth.records import FewRecords

HERE_URL = "http://127.0.0.1:3000"
WEBSOCKET = "ws://127.0.0.1:3000/graphql"
LAUNCH = "mutation { launchRun(executionParams: {}) { __typename } }"
DAGSTER = DagsterSite({"tiny": "tiny"}.get, {"r1": StoredRun("tiny")}.get)
MLFLOW = MlflowSite(FewRecords())
DELETE = """mutation M { ...All }
fragment All on Mutation { ... on Mutation { deleteRun(runId: "x") { __typename } } }"""
PASSWORD = "correct horse battery"
OWN = {"Origin": HERE_URL, "Sec-Fetch-Site": "same-origin"}


async def echo(scope, receive, send):
    """Answer with what reached the app; say `heard` to each message of a websocket."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": f"heard {message['text']}"})
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    requested = {name: scope[name] for name in ("method", "path")}
    query = scope["query_string"].decode()
    response = {"headers": headers, "body": body.decode("latin-1"), "query": query, **requested}
    await JSONResponse(response)(scope, receive, send)


@pytest.fixture
def guarded(home):
    """A client of a guarded app: `guarded(MLFLOW, login=True)`."""

    def make(site=DAGSTER, **rules):
        made = Rules(site, Users(home), "mary", home_token(home), **rules)
        return TestClient(Guard(echo, made), base_url=HERE_URL)

    return make


def post(client, query=LAUNCH, path="/graphql", **headers):
    """Send GraphQL as a page does; `Content_Type` names a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(path, json={"query": query}, headers=named)


def basic(name, password=PASSWORD):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


TEXT = {"content": json.dumps({"query": LAUNCH})}
IN_JSON = {"json": {"query": LAUNCH}}
IN_URL = {"params": {"query": LAUNCH}}
ELSEWHERE = {"Origin": "https://evil.example"}
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
REBOUND = {"Host": "evil.example:3000", "Origin": "http://evil.example:3000"}
NAMED_JSON = {**OWN, "Content-Type": "text/plain; application/json"}
ATTACKS = {
    "mutation by GET": (405, "GET", {}, IN_URL),
    "mutation by GET, as a link": (405, "GET", LINK, IN_URL),
    "cross-site text/plain": (403, "POST", {**ELSEWHERE, "Content-Type": "text/plain"}, TEXT),
    "text/plain without Origin": (415, "POST", {"Content-Type": "text/plain"}, {"content": "{}"}),
    "text/plain that names JSON": (415, "POST", NAMED_JSON, TEXT),
    "a form": (415, "POST", OWN, {"data": {"query": LAUNCH}}),
    "mutation in the address of a POST": (415, "POST", OWN, IN_URL),
    "another site's JSON": (403, "POST", ELSEWHERE, IN_JSON),
    "another port of this machine": (403, "POST", {"Origin": "http://127.0.0.1:8888"}, IN_JSON),
    "a sandboxed frame": (403, "POST", {"Origin": "null"}, IN_JSON),
    "DNS rebinding": (403, "POST", REBOUND, IN_JSON),
    "no page and no token": (403, "POST", {}, IN_JSON),
    "a wrong token": (401, "POST", {"Authorization": "Bearer x"}, IN_JSON),
    "an image": (403, "GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, {}),
    "no GraphQL": (400, "POST", OWN, {"json": {"query": "mutation {"}}),
    "a list": (400, "POST", OWN, {"json": [{"query": LAUNCH}]}),
    "too large": (413, "POST", OWN, {"json": {"query": "#" * (5 << 20)}}),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_request_from_another_site_is_refused(guarded, name):
    status, method, headers, more = ATTACKS[name]
    response = guarded().request(method, "/graphql", headers=headers, **more)
    assert response.status_code == status, response.text
    assert "headers" not in response.json()  # the app never saw it


def test_request_with_two_origins_is_refused(guarded):
    headers = [("Origin", HERE_URL), ("Origin", "https://evil.example")]
    assert guarded().get("/", headers=headers).status_code == 400


def test_same_origin_page_launches_and_links_are_followed(guarded):
    response = post(guarded(), **OWN)
    assert response.status_code == 200
    assert "launchRun" in json.loads(response.json()["body"])["query"]
    assert response.json()["headers"]["x-kinemill-user"] == "mary"
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert guarded().get("/runs/1", headers={**link, "Sec-Fetch-Dest": "document"}).is_success
    assert guarded().get("/runs/1", headers={**link, "Sec-Fetch-Dest": "iframe"}).status_code == 403


def test_page_forbids_frames(guarded):
    headers = guarded().get("/").headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["content-security-policy"] == "frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"


def test_request_with_the_token_reaches_the_app_without_it(guarded, home):
    token = home_token(home)
    forged = {"X_Kinemill_User": "root"}
    response = post(guarded(), Authorization=f"Bearer {token}", **forged).json()
    assert response["headers"]["x-kinemill-user"] == "mary"
    assert "authorization" not in response["headers"]
    assert token not in json.dumps(response)
    assert (home.dagster / "servers" / "token").stat().st_mode & 0o777 == 0o600


def test_query_needs_no_token_and_read_only_refuses_mutations(guarded, home):
    token = {"Authorization": f"Bearer {home_token(home)}"}
    assert post(guarded(), "{ version }").is_success
    assert post(guarded(read_only=True), "{ version }", **OWN).is_success
    assert post(guarded(read_only=True), **OWN).status_code == 403
    assert post(guarded(read_only=True), **token).status_code == 403
    url = "/api/2.0/mlflow/runs/create"
    assert guarded(MLFLOW, read_only=True).post(url, json={}, headers=token).status_code == 403


def test_refusal_without_a_token_names_the_role(guarded, home):
    why = "this needs the role operator; send a token: set KINEMILL_TOKEN, for MLflow "
    assert post(guarded()).json()["message"] == f"{why}MLFLOW_TRACKING_TOKEN"
    users = Users(home)
    users.put("otto", "operator", PASSWORD)
    bearer = {"Authorization": f"Bearer {users.renew_token('otto')}"}
    why = "otto may not do this; it needs the role admin"
    assert post(guarded(), DELETE, **bearer).json()["message"] == why


def test_role_permits_its_requests(guarded, home):
    users = Users(home)
    for name, role in {"vera": "viewer", "otto": "operator", "ada": "admin"}.items():
        users.put(name, role, PASSWORD)
    client = guarded(login=True)
    assert post(client, "{ version }").status_code == 401
    assert client.get("/").headers["www-authenticate"].startswith("Basic")
    requested = {"look": "{ version }", "operate": LAUNCH, "administer": DELETE}
    expected = {"vera": [200, 403, 403], "otto": [200, 200, 403], "ada": [200, 200, 200]}
    for name, statuses in expected.items():
        bearer = {"Authorization": f"Bearer {users.renew_token(name)}"}
        assert [
            post(client, query, **bearer).status_code for query in requested.values()
        ] == statuses
    response = post(client, **bearer)
    assert response.json()["headers"]["x-kinemill-user"] == "ada"
    assert response.json()["headers"]["x-kinemill-may"] == "administer"


def test_password_session_ends_with_its_user(guarded, home):
    users = Users(home)
    users.put("otto", "operator", PASSWORD)
    client = guarded(login=True)
    response = client.get("/", headers=basic("otto"))
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert post(client, **OWN).json()["headers"]["x-kinemill-user"] == "otto"  # by the cookie
    remaining = cookie.split("=", 1)[1].split(";")[0]
    client.cookies.clear()
    client.cookies.set("kinemill-3000", remaining.replace("otto", "ada"))
    assert client.get("/").status_code == 401
    client.cookies.clear()
    users.remove("otto")
    assert client.get("/", headers=basic("otto")).status_code == 401
    text = (home.root / "users.json").read_text()
    assert PASSWORD not in text
    assert (home.root / "users.json").stat().st_mode & 0o777 == 0o600


def test_weak_password_or_invalid_user_is_refused(home):
    users = Users(home)
    for name, role, password in (
        ("a b", "admin", PASSWORD),
        ("a", "boss", PASSWORD),
        ("a", "admin", "x"),
    ):
        with pytest.raises(BadInput):
            users.put(name, role, password)
    assert not users


def test_public_address_needs_a_user_that_can_log_in(home):
    users = Users(home)
    with pytest.raises(BadInput, match="kinemill admin users add"):
        Entrance(host="0.0.0.0").checked(users)
    assert not Entrance().checked(users).login
    users.put("ada", "admin", PASSWORD)
    opened = Entrance(host="0.0.0.0", names=("Mill.example",)).checked(users)
    assert "--login" in opened.flags(3000)
    assert "mill.example" in opened.flags(3000)
    assert "--read-only" in Entrance(read_only=True).flags(3000)


def test_websocket_needs_an_origin_and_refuses_mutations(guarded):
    client = guarded()
    here = {"Host": "127.0.0.1:3000", "Origin": HERE_URL}
    question = json.dumps({"type": "start", "id": "1", "payload": {"query": "subscription { x }"}})
    with client.websocket_connect(WEBSOCKET, ["graphql-ws"], headers=here) as socket:
        socket.send_text(question)
        messages = json.loads(socket.receive_text().removeprefix("heard "))
        assert messages["payload"]["query"].split() == ["subscription", "{", "x", "}"]
        socket.send_text(json.dumps({"type": "start", "payload": {"query": LAUNCH}}))
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
        assert closed.value.code == 1008
    for page in ({"Origin": "https://evil.example"}, {}):
        headers = {"Host": "127.0.0.1:3000", **page}
        with (
            pytest.raises(WebSocketDisconnect),
            client.websocket_connect(WEBSOCKET, ["graphql-ws"], headers=headers),
        ):
            pass


def test_host_names_of_this_machine_are_local():
    assert {"127.0.0.1", "localhost", "::1"} == HERE
