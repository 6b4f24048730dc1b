"""MLflow's real server behind its guard: kinemill, MLflow's client, and webhooks as each role."""

import base64
import hashlib
import hmac
import http.server
import json
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
import requests
from mlflow import MlflowClient
from mlflow.entities.webhook import WebhookEvent
from mlflow.exceptions import MlflowException

from benchmarks._servers import free_port
from kinemill.register.audit_log import MOVED, read_events
from kinemill.store.home import Home
from kinemill_dagster.pipelines.server.auth.users import Users
from tests.conftest import run_command
from tests.pipelines.conftest import TASK
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PASSWORD = "correct horse battery"
ROLES = ("viewer", "operator", "promoter", "admin")
SECRET = "a secret of the receiver"
CREATED = [WebhookEvent("registered_model", "created")]


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps the messages that it gets with a valid signature; `/moved` redirects to `/stolen`."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.messages = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        parts = (self.headers["X-MLflow-Delivery-Id"], self.headers["X-MLflow-Timestamp"], text)
        digest = hmac.digest(SECRET.encode(), ".".join(parts).encode(), hashlib.sha256)
        assert self.headers["X-MLflow-Signature"] == f"v1,{base64.b64encode(digest).decode()}"
        self.server.messages.append((self.path, json.loads(text)))
        self.send_response(307 if self.path == "/moved" else 200)
        self.send_header("Location", f"{self.server.url}/stolen")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Write nothing."""


@pytest.fixture(scope="module")
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.shutdown()


@pytest.fixture(scope="module")
def server(tmp_path_factory, tasks, receiver):
    """A guarded server on its own home: its home, its address, and a token of each role."""
    home = Home(tmp_path_factory.mktemp("guarded-mlflow") / "home")
    home.make()
    origins = f"webhooks: {{origins: ['{receiver.url}']}}\n"
    (home.root / "alerts.yaml").write_text(origins)
    users = Users(home)
    for role in ROLES:
        users.put(role, role, PASSWORD)
    tokens = {role: users.renew_token(role) for role in ROLES}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KINEMILL_TASKS", str(tasks))
        patch.setenv("KINEMILL_HOME", str(home.root))
        patch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
        patch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "https,http")
        patch.setenv("MLFLOW_WEBHOOK_CACHE_TTL", "0")  # s
        with serve_mlflow(home.root / "log") as url:
            yield home, url, tokens


@contextmanager
def serve_mlflow(log):
    """Run MLflow's guarded server; yield its address."""
    port = free_port()
    command = [sys.executable, "-m", "kinemill_dagster.pipelines.server.auth", "mlflow", "--login"]
    with log.open("wb") as file:
        process = subprocess.Popen([*command, "--port", str(port)], stderr=file)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(1200):
            try:
                requests.get(url, timeout=5)
                break
            except requests.ConnectionError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def client_as(server, monkeypatch):
    """Return MLflow's client with the token of a role."""
    _, url, tokens = server

    def make(role):
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", tokens[role])
        return MlflowClient(url, url)

    return make


def moves(home):
    return [(event.who, event.version) for event in read_events(home, TASK) if event.what == MOVED]


def test_kinemill_run_registers_as_operator_and_decides_as_promoter(
    server, client_as, workspace, logs, monkeypatch
):
    home, url, _ = server
    shutil.copytree(logs, workspace.home.logs(TASK))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    client = client_as("operator")

    result = run_command("run", TASK)
    assert result.returncode == 1, result.stderr
    assert f"models:/{TASK}/1: is registered, and the gate may not decide" in result.stderr
    assert "operator may not do this; it needs the role promoter" in result.stderr
    (version,) = client.search_model_versions(f"name = '{TASK}'")
    assert "kinemill.decision" not in version.tags
    assert dict(client.get_registered_model(TASK).aliases) == {}
    run = client.get_run(version.run_id)
    assert (run.info.user_id, run.data.tags["mlflow.user"]) == ("operator", "operator")
    assert run.data.metrics["train/loss"] > 0.0
    assert not workspace.home.mlflow_db.exists()
    client.log_text(version.run_id, "hello" * 1_000_000, "big.txt")  # no limit as of JSON bodies
    sizes = {file.path: file.file_size for file in client.list_artifacts(version.run_id)}
    assert sizes["big.txt"] == 5_000_000

    client = client_as("promoter")
    result = run_command("run", TASK)
    assert result.returncode == 0, result.stderr
    assert client.get_model_version(TASK, "1").tags["kinemill.decision"] == "champion"
    assert dict(client.get_registered_model(TASK).aliases) == {"champion": "1"}
    until(lambda: moves(home) == [("promoter", 1)], "the server's audit log")
    events = read_events(workspace.home, TASK)
    assert [(event.what, event.version) for event in events] == [("champion", 1)]

    client.delete_registered_model_alias(TASK, "champion")
    until(lambda: moves(home)[1:] == [("promoter", None)], "the server's audit log")
    client_as("admin").set_registered_model_alias(TASK, "champion", "1")
    until(lambda: moves(home)[2:] == [("admin", 1)], "the server's audit log")


def test_admin_alone_makes_webhooks_for_allowed_addresses(server, client_as, receiver):
    home, _, _ = server
    for role in ROLES[:-1]:
        with pytest.raises(MlflowException, match=f"{role} may not do this; it needs the role"):
            client_as(role).list_webhooks()
    client = client_as("admin")
    with pytest.raises(MlflowException, match=r"at https://evil\.example: is not allowed"):
        client.create_webhook("evil", "https://evil.example/x", CREATED)
    moved = client.create_webhook("moved", f"{receiver.url}/moved", CREATED, secret=SECRET)
    answer = client.test_webhook(moved.webhook_id)
    assert "redirect" in answer.error_message
    client.delete_webhook(moved.webhook_id)
    hook = client.create_webhook("robots", f"{receiver.url}/robots", CREATED, secret=SECRET)
    assert client.test_webhook(hook.webhook_id).response_status == 200
    client.create_registered_model("notes")
    until(lambda: receiver.messages[-1][1]["data"]["name"] == "notes", "a message", within=90)
    assert "/stolen" not in {path for path, _ in receiver.messages}
    assert SECRET.encode() not in home.mlflow_db.read_bytes()
    text = (home.root / "log").read_text()
    assert f"{receiver.url}/... failed" in text  # of the redirect
    assert not any(part in text for part in (SECRET, "/moved"))
