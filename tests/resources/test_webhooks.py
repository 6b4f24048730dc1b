"""The rules for webhooks: origins, and the key of their secrets."""

import logging

import pytest
from pydantic import ValidationError

from kinemill.errors import BadInput
from kinemill_dagster.resources import webhooks
from kinemill_dagster.resources.alerts import Webhooks, settings

HOOK = "https://hooks.example.org/a/b?c=d"


@pytest.fixture
def own_key(monkeypatch):
    """Variables of MLflow that a test sets are unset afterwards."""
    monkeypatch.setenv(webhooks.KEY, "")
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
