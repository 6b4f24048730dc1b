"""The rules for webhooks: origins, networks, and the key of their secrets."""

import http.server
import logging
import sqlite3
import threading
from contextlib import closing

import pytest
import requests
from pydantic import ValidationError

from kinemill.errors import BadInput
from kinemill.tracking.database import open_tracking
from kinemill_dagster.resources import webhooks
from kinemill_dagster.resources.alerts import Webhooks, settings

HOOK = "https://hooks.example.org/a/b?c=d"


@pytest.fixture
def own_key(monkeypatch):
    """Variables of MLflow that a test sets are unset afterwards."""
    for name in (
        webhooks.KEY,
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS",
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES",
    ):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("MLFLOW_WEBHOOK_REQUEST_TIMEOUT", "5")


@pytest.mark.parametrize(
    ("address", "canonical"),
    [
        (HOOK, HOOK),
        ("HTTPS://Hooks.Example.org:443", "https://hooks.example.org/"),
        ("http://10.0.0.7:8080/x", "http://10.0.0.7:8080/x"),
    ],
)
def test_an_address_of_an_allowed_origin_is_canonical(address, canonical):
    allowed = Webhooks(origins=["https://hooks.example.org:443", "http://10.0.0.7:8080"])
    assert allowed.canonical(address) == canonical


@pytest.mark.parametrize(
    "address",
    [
        "http://hooks.example.org/",
        "https://hooks.example.org:8443/",
        "https://hooks.example.org.evil.example/",
        "https://hooks.example.org@evil.example/",
        "https://evil.example\\@hooks.example.org/",
        "https://evil.example#@hooks.example.org/",
        "https://hooks.example.org/ x",
        "https://hooks.example.org/\nx",
        "https:hooks.example.org",
        "file://hooks.example.org/etc/passwd",
        "",
    ],
)
def test_other_addresses_are_refused(address):
    with pytest.raises(BadInput, match=r"is not allowed|has an ambiguous address"):
        Webhooks(origins=["https://hooks.example.org"]).canonical(address)


def test_no_origin_is_allowed_by_default(home):
    assert settings(home) is None
    with pytest.raises(BadInput, match=r"webhooks\.origins in alerts\.yaml"):
        Webhooks().canonical(HOOK)


@pytest.mark.parametrize("origin", ["https://a.example/x", "ftp://a.example", "a.example", "*"])
def test_an_origin_has_no_path(origin):
    with pytest.raises(ValidationError):
        Webhooks(origins=[origin])


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
        "::1", "::ffff:127.0.0.1", "fe80::1%eth0", "fd00::1", "64:ff9b::7f00:1", "2002:7f00:1::",
        "2001:0:7f00:1::",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused(address):
    with pytest.raises(BadInput, match="is not public"):
        webhooks.check_peer(address, Webhooks(private=["10.0.0.0/24"]))


def test_public_addresses_and_listed_networks_are_allowed():
    for address in ("93.184.215.14", "2606:4700::1", "10.0.0.9", "::ffff:10.0.0.9"):
        webhooks.check_peer(address, Webhooks(private=["10.0.0.0/24"]))


@pytest.fixture
def server():
    """A server on this machine that accepts everything."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()


@pytest.mark.parametrize(
    ("private", "path", "refusal"),
    [
        ("[127.0.0.0/8]", "/x", None),
        ("[10.0.0.0/8]", "/x", "resolves to 127.0.0.1, which is not public"),
        ("[]", "/x", "is not public"),
        ("[127.0.0.0/8]", "@127.0.0.1/x", "ambiguous address"),
    ],
)
def test_a_request_is_checked_when_it_is_sent(home, monkeypatch, server, private, path, refusal):
    monkeypatch.setenv(webhooks.KEY, "set")
    home.make()
    (home.root / "alerts.yaml").write_text(
        f"webhooks: {{origins: ['{server}'], private: {private}}}\n"
    )
    with requests.Session() as session:
        session.mount("http://", webhooks.CheckedAdapter())
        if refusal is None:
            assert session.post(f"{server}{path}").status_code == 204
            other = server.replace("127.0.0.1", "localhost")
            with pytest.raises(BadInput, match="is not allowed"):
                session.post(f"{other}{path}")
        else:
            with pytest.raises(BadInput, match=refusal):
                session.post(f"{server}{path}")


def test_a_log_line_holds_no_path_of_a_webhook():
    line = (
        "Webhook request to https://hooks.example.org/T0/B0?k=1 failed: Pool(host='a'): "
        "Max retries exceeded with url: /T0/B0?k=1 (Caused by X)"
    )
    record = logging.LogRecord("x", logging.ERROR, "", 0, "%s", (line,), None)
    webhooks._hide_addresses(record)
    assert "T0" not in record.getMessage()
    assert "hooks.example.org/..." in record.getMessage()


@pytest.mark.usefixtures("own_key")
def test_the_key_is_made_once_and_only_the_owner_can_read_it(home, monkeypatch):
    webhooks.prepare_webhooks(home)
    path = home.dagster / "servers" / "webhook_key"
    assert path.stat().st_mode & 0o777 == 0o600
    key = path.read_text()
    monkeypatch.setenv(webhooks.KEY, "")
    webhooks.prepare_webhooks(home)
    assert path.read_text() == key


@pytest.mark.usefixtures("own_key")
def test_a_key_that_cannot_encrypt_is_refused(home, monkeypatch):
    monkeypatch.setenv(webhooks.KEY, "c2hvcnQ=")
    with pytest.raises(BadInput, match="32 url-safe base64") as error:
        webhooks.prepare_webhooks(home)
    assert "c2hvcnQ" not in str(error.value)


@pytest.mark.usefixtures("own_key")
def test_machines_with_one_database_need_one_key(home, monkeypatch):
    monkeypatch.setenv("KINEMILL_DATABASE", "postgresql://db.example/kinemill")
    webhooks.prepare_webhooks(home)
    assert not (home.dagster / "servers" / "webhook_key").exists()
    with pytest.raises(BadInput, match="on every machine that shares the database"):
        webhooks.allowed_webhooks(home)


@pytest.mark.usefixtures("own_key")
def test_webhooks_whose_key_is_lost_are_disabled(home, caplog):
    open_tracking(home)
    insert = "INSERT INTO webhooks (webhook_id, name, url, status, secret) VALUES (?, ?, ?, ?, ?)"
    rows = [("1", "a", HOOK, "ACTIVE", "of another key"), ("2", "b", HOOK, "ACTIVE", None)]
    with closing(sqlite3.connect(home.mlflow_db)) as connection, connection:
        connection.executemany(insert, rows)
    webhooks.prepare_webhooks(home)
    with closing(sqlite3.connect(home.mlflow_db)) as connection:
        remaining = connection.execute(
            "SELECT status, secret FROM webhooks ORDER BY name"
        ).fetchall()
    assert remaining == [("DISABLED", None), ("ACTIVE", None)]
    assert "1 webhooks are disabled" in caplog.text
