"""A proxy that logs people in: believed by address and secret together, and nobody else is."""

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from kinemill.errors import BadInput
from kinemill_dagster.pipelines.server.auth.login import Entrance
from kinemill_dagster.pipelines.server.auth.middleware import Guard
from kinemill_dagster.pipelines.server.auth.proxy import proxy_at
from kinemill_dagster.pipelines.server.auth.rules import HERE, Rules
from kinemill_dagster.pipelines.server.auth.users import Users, home_token
from tests.pipelines.server.auth.test_middleware import (
    DAGSTER,
    DELETE,
    LAUNCH,
    PASSWORD,
    echo,
    post,
)

SECRET = "a secret that both of them know"
ADDRESS = "https://mill.example"
PROXY = "10.0.0.5"
SOCKET = "ws://mill.example/graphql"
HEADERS = {"X-Kinemill-Proxy": SECRET}


@pytest.fixture
def users(home, quick_hashes):
    """Ada and a group have roles through the proxy; Otto has a password here."""
    existing = Users(home)
    existing.put_proxied("ada@mill.example", "admin")
    existing.put_proxied("group:robots", "operator")
    existing.put_proxied("group:guests", "viewer")
    existing.put("otto", "operator", PASSWORD)
    return existing


@pytest.fixture
def requests(home, users, monkeypatch):
    """A client that asks from an address: `asked("10.0.0.5")`."""
    monkeypatch.setenv("KINEMILL_PROXY_SECRET", SECRET)

    def make(peer=PROXY, **rules):
        made = Rules(
            DAGSTER, users, "mary", home_token(home), hosts=HERE | {"mill.example"},
            origins=frozenset({ADDRESS}), proxy=proxy_at(["10.0.0.0/29"]), login=True, **rules,
        )  # fmt: skip
        return TestClient(Guard(echo, made), base_url="http://mill.example", client=(peer, 40000))

    return make


def said(user, groups=None, **more):
    """The headers that the proxy sends."""
    message = {
        "X-Forwarded-User": user,
        "Origin": ADDRESS,
        "Host": "mill.example",
        **HEADERS,
        **more,
    }
    return message if groups is None else {**message, "X-Forwarded-Groups": groups}


def test_user_named_by_the_proxy_has_the_role_of_the_users_file(requests):
    client = requests()
    for headers, statuses in (
        (said("ada@mill.example"), [200, 200, 200]),
        (said("ben", "guests, robots"), [200, 200, 403]),
        (said("cleo", "guests"), [200, 403, 403]),
        (said("dora", "strangers"), [403, 403, 403]),
        (said("dora"), [403, 403, 403]),
    ):
        document = [
            client.post("/graphql", json={"query": query}, headers=headers).status_code
            for query in ("{ version }", LAUNCH, DELETE)
        ]
        assert document == statuses, headers
    response = client.post("/graphql", json={"query": LAUNCH}, headers=said("ben", "robots"))
    reached = response.json()["headers"]
    assert (reached["x-kinemill-user"], reached["x-kinemill-may"]) == ("ben", "operate")
    assert SECRET not in response.text  # no page or plug-in of the server gets to see it
    assert "set-cookie" not in response.headers  # the proxy says it anew each time


ADMIN = {"X-Forwarded-User": "ada@mill.example"}
FORGED = {
    "the name alone": (401, PROXY, ADMIN),
    "the name from elsewhere": (401, "10.0.0.99", ADMIN),
    "a wrong secret": (403, PROXY, {**ADMIN, "X-Kinemill-Proxy": SECRET[:-1]}),
    "an empty secret": (403, PROXY, {**ADMIN, "X-Kinemill-Proxy": ""}),
    "the secret from elsewhere": (403, "10.0.0.99", {**ADMIN, **HEADERS}),
    "the address in a header": (
        403,
        "10.0.0.99",
        {**ADMIN, **HEADERS, "X-Forwarded-For": PROXY, "Forwarded": f"for={PROXY}"},
    ),
    "no address": (403, "testclient", {**ADMIN, **HEADERS}),
    "the secret and nobody": (401, PROXY, HEADERS),
    "the secret and a blank": (401, PROXY, {**HEADERS, "X-Forwarded-User": " "}),
    "a user who has a password here": (403, PROXY, {**HEADERS, "X-Forwarded-User": "otto"}),
    "a user called as a group is": (403, PROXY, {**HEADERS, "X-Forwarded-User": "group:robots"}),
    "a user called as no user is": (403, PROXY, {**said("x, y", "robots")}),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_user_header_without_the_proxy_secret_is_ignored(requests, name):
    status, peer, headers = FORGED[name]
    response = requests(peer).post("/graphql", json={"query": LAUNCH}, headers=headers)
    assert response.status_code == status, response.text
    assert "headers" not in response.json()
    assert SECRET not in response.text


@pytest.mark.parametrize("twice", ["X-Forwarded-User", "X-Kinemill-Proxy", "X-Forwarded-Groups"])
def test_duplicate_proxy_header_is_refused(requests, twice):
    headers = [*said("ben", "robots").items(), (twice, "robots")]
    assert requests().post("/graphql", json={"query": LAUNCH}, headers=headers).status_code == 400


def test_request_from_another_site_through_the_proxy_is_refused(requests):
    """The proxy adds its headers to what any page makes the browser send."""
    client, body = requests(), {"json": {"query": LAUNCH}}
    for more, status in (
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://mill.example.evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Type": "text/plain", "Authorization": "Bearer of-the-provider"}, 415),
    ):
        headers = said("ada@mill.example", **more)
        assert client.post("/graphql", headers=headers, **body).status_code == status, more
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(
            SOCKET, ["graphql-ws"], headers=said("ben", "robots", Origin="https://e.x")
        ),
    ):
        pass
    with client.websocket_connect(SOCKET, ["graphql-ws"], headers=said("ben", "robots")):
        pass  # of our own page: opened


def test_password_and_token_work_without_the_proxy(requests, users):
    token = {"Authorization": f"Bearer {users.renew_token('otto')}"}
    assert post(requests("10.9.9.9"), **token).is_success
    assert post(requests(), **token, **{"X_Kinemill_Proxy": SECRET}).is_success
    token = {"Authorization": f"Bearer {users.renew_token('ada@mill.example')}"}
    assert post(requests("10.9.9.9"), DELETE, **token).is_success
    with pytest.raises(BadInput):
        users.renew_token("group:robots")


def test_proxy_with_a_weak_secret_is_refused(users, monkeypatch):
    monkeypatch.delenv("KINEMILL_PROXY_SECRET", raising=False)
    for secret in (None, "short"):
        if secret:
            monkeypatch.setenv("KINEMILL_PROXY_SECRET", secret)
        with pytest.raises(BadInput, match="KINEMILL_PROXY_SECRET"):
            Entrance(proxy=(PROXY,)).checked(users)
    monkeypatch.setenv("KINEMILL_PROXY_SECRET", SECRET)
    with pytest.raises(BadInput, match=r"10\.0\.0\.5 or"):
        Entrance(proxy=("mill.example",)).checked(users)
    opened = Entrance(proxy=(PROXY,)).checked(users)
    assert opened.login  # on loopback, too: what comes through it is not this machine's browser
    assert SECRET not in " ".join(opened.flags(3000))


def test_shown_address_is_the_public_one():
    """Both servers have ports of their own, and may be behind one name or two."""
    assert Entrance(names=(ADDRESS,)).public_url(3000) == "http://127.0.0.1:3000"
    assert Entrance("0.0.0.0", names=(ADDRESS, "mill")).public_url(5000) == "http://mill:5000"
    assert ADDRESS in Entrance(names=(f"{ADDRESS}/",)).flags(3000)
    assert not [line for line in Entrance("10.0.0.7", names=(ADDRESS,), login=True).warnings()]


def test_users_file_lists_users_of_the_proxy(users):
    assert users.rights()["group:robots"] == ("operator", None)
    assert users.by_password("ada@mill.example", "") is None
    for name in ("a b", "", "x\ny", "group:"):
        with pytest.raises(BadInput):
            users.put_proxied(name, "viewer")
