"""Passwords under parallel load, and what ends a session: the guard around an app in one loop."""

import asyncio
import threading
import time
from collections import Counter

import httpx
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from kinemill_dagster.pipelines.server.auth import credentials
from kinemill_dagster.pipelines.server.auth import users as user_list
from kinemill_dagster.pipelines.server.auth.middleware import Guard
from kinemill_dagster.pipelines.server.auth.rules import Rules
from kinemill_dagster.pipelines.server.auth.users import Users, home_token
from tests.pipelines.server.auth.test_middleware import (
    DAGSTER,
    HERE_URL,
    MLFLOW,
    PASSWORD,
    basic,
    echo,
)

WRONG = 401
LIMITED = 429
BUSY = 503

INIT = '{"type":"connection_init"}'


@pytest.fixture
def users(home, quick_hashes):
    existing = Users(home)
    existing.put("vic", "viewer", PASSWORD)
    return existing


@pytest.fixture
def app(home, users):
    """A guarded app that demands a login."""
    return Guard(echo, Rules(DAGSTER, users, "mary", home_token(home), login=True))


@pytest.fixture
def hashes(monkeypatch):
    """The passwords that were hashed, in order."""
    observed, original = [], user_list._hashed

    def spy(password, salt):
        observed.append(password)
        time.sleep(0.2)  # as long as a hash at full cost
        return original(password, salt)

    monkeypatch.setattr(user_list, "_hashed", spy)
    return observed


async def get(app, headers, peer="10.0.0.1"):
    transport = httpx.ASGITransport(app=app, client=(peer, 40000))
    async with httpx.AsyncClient(transport=transport, base_url=HERE_URL) as client:
        return await client.get("/", headers=headers)


def statuses(app, requests):
    """The statuses of requests sent in parallel: `(headers, peer)` each."""

    async def gather():
        return await asyncio.gather(*[get(app, *request) for request in requests])

    return [response.status_code for response in asyncio.run(gather())]


def test_address_limit_holds_for_parallel_requests(app, hashes):
    result = statuses(app, [(basic("vic", f"guess {number}"), "10.0.0.1") for number in range(60)])
    assert Counter(result) == {WRONG: 10, LIMITED: 50}
    assert len(hashes) == 10
    right = [(basic("vic"), "10.0.0.1"), (basic("vic"), "10.0.0.2")]
    assert statuses(app, right) == [LIMITED, 200]


def test_ipv6_network_shares_a_limit(app):
    peers = [f"2001:db8::{number:x}" for number in range(1, 13)]
    bearer = {"Authorization": "Bearer wrong"}
    assert Counter(statuses(app, [(bearer, peer) for peer in peers])) == {WRONG: 10, LIMITED: 2}
    assert statuses(app, [(bearer, "2001:db8:0:1::1")]) == [WRONG]


def test_all_addresses_share_a_total_limit(app):
    bearer = {"Authorization": "Bearer wrong"}
    result = statuses(
        app, [(bearer, f"10.0.{index}.{two}") for index in range(25) for two in range(10)]
    )
    assert Counter(result) == {WRONG: 200, LIMITED: 50}


def test_parallel_right_passwords_share_a_hash_and_use_no_attempts(app, hashes):
    assert statuses(app, [(basic("vic"), "10.0.0.1")] * 40) == [200] * 40
    assert hashes == [PASSWORD]
    assert statuses(app, [(basic("vic"), "10.0.0.1")] * 40) == [200] * 40
    assert hashes == [PASSWORD]


def test_parallel_wrong_passwords_count_each(app, hashes):
    result = statuses(app, [(basic("vic", "one guess"), "10.0.0.1")] * 40)
    assert Counter(result) == {WRONG: 10, LIMITED: 30}
    assert hashes == ["one guess"]


def test_sessions_and_tokens_skip_the_bounded_hash_queue(app, users, monkeypatch):
    release = threading.Event()
    original, token = user_list._hashed, {"Authorization": f"Bearer {users.renew_token('vic')}"}

    async def attack():
        cookie = (await get(app, basic("vic"))).headers["set-cookie"].split(";")[0]
        monkeypatch.setattr(
            user_list, "_hashed", lambda *args: release.wait(60) and original(*args)
        )
        guesses = [
            asyncio.create_task(get(app, basic("vic", f"guess {index} {two}"), f"10.0.1.{index}"))
            for index in range(15)
            for two in range(10)
        ]
        await asyncio.sleep(0)
        served = [
            (await asyncio.wait_for(get(app, headers, "10.0.1.1"), 30)).status_code
            for headers in ({"Cookie": cookie}, token) * 20
        ]
        waiting = sum(not guess.done() for guess in guesses)
        release.set()
        return (
            served,
            waiting,
            [response.status_code for response in await asyncio.gather(*guesses)],
        )

    served, waiting, result = asyncio.run(attack())
    assert served == [200] * 40
    assert waiting == credentials._QUEUE
    assert Counter(result) == {WRONG: credentials._QUEUE, BUSY: 150 - credentials._QUEUE}


def test_refused_login_says_when_to_retry(app):
    async def twelve():
        return [await get(app, {"Authorization": "Bearer wrong"}) for _ in range(12)]

    assert asyncio.run(twelve())[-1].headers["retry-after"] == "60"


def reset_password(users):
    users.put("vic", "viewer", "another long password")


def change_role(users):
    users.put("vic", "operator", PASSWORD)


def remove(users):
    users.remove("vic")


def return_with_the_same_password(users):
    users.remove("vic")
    users.put("vic", "viewer", PASSWORD)


CHANGES = [reset_password, change_role, remove, return_with_the_same_password]


@pytest.mark.parametrize("change", CHANGES)
def test_session_ends_on_both_servers_when_its_user_changes(home, users, change):
    clients = [
        TestClient(
            Guard(echo, Rules(permission, Users(home), "mary", home_token(home), login=True)),
            base_url=f"http://127.0.0.1:{port}",
        )
        for permission, port in ((DAGSTER, 3000), (MLFLOW, 5000))
    ]
    for client in clients:
        assert client.get("/", headers=basic("vic")).status_code == 200
        assert client.get("/").status_code == 200  # by the cookie
    change(users)
    assert [client.get("/").status_code for client in clients] == [WRONG, WRONG]


def test_new_token_keeps_the_session(app, users):
    client = TestClient(app, base_url=HERE_URL)
    client.get("/", headers=basic("vic"))
    users.renew_token("vic")
    assert client.get("/").status_code == 200


def test_password_changed_during_its_hash_gives_no_session(app, users, monkeypatch):
    original = user_list._hashed

    def slow(password, salt):
        if threading.current_thread().name.startswith("password"):
            monkeypatch.setattr(user_list, "_hashed", original)
            reset_password(users)
        return original(password, salt)

    monkeypatch.setattr(user_list, "_hashed", slow)
    client = TestClient(app, base_url=HERE_URL)
    client.get("/", headers=basic("vic"))
    assert client.get("/").status_code == WRONG


@pytest.mark.parametrize("change", CHANGES)
def test_open_websocket_ends_when_its_user_changes(app, users, change):
    client = TestClient(app, base_url=HERE_URL)
    headers = {"Host": "127.0.0.1:3000", "Origin": HERE_URL, **basic("vic")}
    with client.websocket_connect(
        "ws://127.0.0.1:3000/graphql", ["graphql-ws"], headers=headers
    ) as socket:
        socket.send_text(INIT)
        assert socket.receive_text() == f"heard {INIT}"
        users.put("otto", "viewer", PASSWORD)  # a change of somebody else
        socket.send_text(INIT)
        assert socket.receive_text() == f"heard {INIT}"
        change(users)
        socket.send_text(INIT)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
        assert closed.value.code == 1008


def test_damaged_users_file_closes_the_server_to_all_but_the_owner(app, home, users):
    client = TestClient(app, base_url=HERE_URL)
    client.get("/", headers=basic("vic"))
    (home.root / "users.json").write_text('{"format": 1, "users": {"vic": {}}}')
    assert client.get("/").status_code == BUSY
    assert client.get("/", headers={"Authorization": "Bearer wrong"}).status_code == BUSY
    owner = {"Authorization": f"Bearer {home_token(home)}"}
    client.cookies.clear()
    assert client.get("/", headers=owner).status_code == 200
