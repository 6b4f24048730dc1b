"""Webhooks of real servers: a receiver on loopback gets signed messages about the registry."""

import base64
import hashlib
import hmac
import http.server
import json
import shutil
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import closing

import pytest

from kinemill_dagster.pipelines.auth.users import Users
from kinemill_dagster.pipelines.serve import free_port
from tests.pipelines.serving import serve, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PASSWORD = "correct horse battery"
SECRET = "a secret of the receiver"
API = "api/2.0/mlflow"
CREATED = {"entity": "MODEL_VERSION", "action": "CREATED"}
ALIAS = {"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"}
MODEL = {"entity": "REGISTERED_MODEL", "action": "CREATED"}
CLIENT = """
import sys
from mlflow import MlflowClient
from mlflow.entities.webhook import WebhookEvent
client, url, secret = MlflowClient(sys.argv[1]), sys.argv[2], sys.argv[3]
events = [WebhookEvent("model_version", "created")]
hook = client.create_webhook("client", url, events, secret=secret)
assert "client" in [one.name for one in client.list_webhooks()]
assert client.get_webhook(hook.webhook_id).url == url
assert client.update_webhook(hook.webhook_id, description="text").description == "text"
print(client.test_webhook(hook.webhook_id).response_status)
client.delete_webhook(hook.webhook_id)
assert "client" not in [one.name for one in client.list_webhooks()]
"""


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps the messages that it gets; `/moved` redirects to another receiver."""

    def __init__(self, moved=""):
        self.messages, self.moved = [], moved
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def of(self, entity, name):
        """Return the data of the messages about one model."""
        own = [body for _, body in self.messages if body["entity"] == entity]
        return [body["data"] for body in own if body["data"]["name"] == name]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.messages.append((dict(self.headers), json.loads(text)))
        signed = (
            f"{self.headers['X-MLflow-Delivery-Id']}.{self.headers['X-MLflow-Timestamp']}.{text}"
        )
        digest = hmac.digest(SECRET.encode(), signed.encode(), hashlib.sha256)
        expected = f"v1,{base64.b64encode(digest).decode()}"
        is_signed = self.headers["X-MLflow-Signature"] == expected
        moved = self.path == "/moved"
        self.send_response(307 if moved else 200 if is_signed else 401)
        if moved:
            self.send_header("Location", f"{self.server.moved}/stolen")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Write nothing."""


@pytest.fixture(scope="module")
def receivers():
    """A receiver that is allowed, and another one on the same machine that is not."""
    closed = Receiver()
    allowed = Receiver(closed.url)
    yield allowed, closed
    for one in (allowed, closed):
        one.shutdown()


@pytest.fixture(scope="module")
def served(first_run, tmp_path_factory, receivers):
    """Real servers on a home with one version, and a user of each role."""
    original, _ = first_run
    root = tmp_path_factory.mktemp("hooked") / "home"
    shutil.copytree(original.home.root, root)
    site = type(original)(type(original.home)(root), original.tasks)
    (root / "alerts.yaml").write_text(
        f"webhooks: {{origins: ['{receivers[0].url}'], private: [127.0.0.0/8]}}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        site.enter(patch)
        users = Users(site.home)
        for role in ("viewer", "operator", "promoter", "admin"):
            users.put(role, role, PASSWORD)
        port = free_port(23100)
        with serve(site, "--login", ports=(port, free_port(port + 100))) as active:
            yield active


def ask(served, method, path, body=None, user="admin"):
    """Return status and document of a request to MLflow."""
    login = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
    headers = {"Authorization": f"Basic {login}"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(
        f"{served.urls['MLflow']}/{path}",
        None if body is None else json.dumps(body).encode(),
        headers,
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.fixture(scope="module")
def hook(served, receivers):
    """The id of a webhook for versions and aliases."""
    url, events = f"{receivers[0].url}/robots", [CREATED, ALIAS, MODEL]
    body = {"name": "robots", "url": url, "events": events}
    status, made = ask(served, "POST", f"{API}/webhooks", {**body, "secret": SECRET})
    assert status == 200, made
    return made["webhook"]["webhook_id"]


@pytest.mark.parametrize("role", ["viewer", "operator", "promoter"])
def test_other_roles_get_a_clear_refusal(served, hook, role):
    for method, path, body in [
        ("GET", "webhooks", None),
        ("POST", "webhooks", {"name": "mine", "url": "https://evil.example", "events": [CREATED]}),
        ("POST", f"webhooks/{hook}/test", {}),
        ("DELETE", f"webhooks/{hook}", None),
    ]:
        status, document = ask(served, method, f"{API}/{path}", body, role)
        refusal = f"{role} may not do this; it needs the role admin"
        assert (status, document["message"]) == (403, refusal)


def test_an_admin_tests_a_webhook_and_sees_no_secret(served, hook, receivers):
    status, document = ask(served, "POST", f"{API}/webhooks/{hook}/test", {})
    assert (status, document["result"]["success"]) == (200, True)
    assert document["result"]["response_status"] == 200  # the receiver checked the signature
    listed = ask(served, "GET", f"{API}/webhooks")[1]["webhooks"]
    assert [one["name"] for one in listed] == ["robots"]
    assert SECRET not in json.dumps(listed)


def test_an_mlflow_client_makes_and_deletes_a_webhook(served, receivers, tmp_path, monkeypatch):
    (tmp_path / "client.py").write_text(CLIENT)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    command = [sys.executable, "client.py", served.urls["MLflow"], f"{receivers[0].url}/x", SECRET]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "200"), done.stderr


def test_a_model_that_a_client_registers_is_announced(served, hook, receivers):
    assert ask(served, "POST", f"{API}/registered-models/create", {"name": "notes"})[0] == 200
    until(lambda: receivers[0].of("registered_model", "notes"), "a message", within=90)


def test_no_request_leaves_for_an_address_that_is_not_allowed(served, hook, receivers):
    body = {"url": f"{receivers[1].url}/x"}
    status, document = ask(served, "PATCH", f"{API}/webhooks/{hook}", body)
    assert (status, "is not allowed" in document["message"]) == (403, True)
    moved = {"url": f"{receivers[0].url}/moved"}
    assert ask(served, "PATCH", f"{API}/webhooks/{hook}", moved)[0] == 200
    result = ask(served, "POST", f"{API}/webhooks/{hook}/test", {})[1]["result"]
    assert result["success"] is False
    assert "redirect" in result["error_message"]
    alerts = served.workspace.home.root / "alerts.yaml"
    text = alerts.read_text()
    alerts.write_text(text.replace("127.0.0.0/8", "10.0.0.0/8"))  # effective without a restart
    result = ask(served, "POST", f"{API}/webhooks/{hook}/test", {})[1]["result"]
    alerts.write_text(text)
    assert "is not public" in result["error_message"]
    assert receivers[1].messages == []


def test_the_secret_is_encrypted_at_rest_and_no_log_names_an_address(served, hook, receivers):
    home = served.workspace.home
    with closing(sqlite3.connect(home.mlflow_db)) as connection:
        rows = connection.execute("SELECT secret FROM webhooks WHERE secret IS NOT NULL").fetchall()
    assert rows
    assert all(SECRET not in secret and secret.startswith("gAAAA") for (secret,) in rows)
    assert (home.dagster / "servers" / "webhook_key").stat().st_mode & 0o777 == 0o600
    logs = [*(home.dagster / "servers").glob("*.log"), *(home.root / "alerts").glob("*.log")]
    text = "".join(log.read_text() for log in logs)
    assert f"{receivers[0].url}/... failed" in text  # of the redirect
    assert not any(part in text for part in (SECRET, "/robots", "/moved"))
    assert ask(served, "DELETE", f"{API}/webhooks/{hook}")[0] == 200
    assert ask(served, "GET", f"{API}/webhooks/{hook}")[0] == 404
