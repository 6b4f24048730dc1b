"""Alerts: once for an event, to a real server of this machine, whatever state that is in."""

import json
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from benchmarks._servers import free_port
from kinemill.errors import BadInput
from kinemill_dagster.resources import alert_delivery, alerts
from kinemill_dagster.resources.alerts import Alert, queue

ROOT = Path(__file__).resolve().parents[2]
SECRET = "tok3n"


@pytest.fixture
def inbox():
    """A web server that keeps what is posted to it; `status` is what it answers."""

    class Keep(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.got.append(json.loads(body))
            self.send_response(server.status)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Keep)
    server.got, server.status = [], 200
    server.url = f"json://user:{SECRET}@127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def requests(home):
    """Write alerts.yaml; from then on events are news."""

    def write(*urls, **more):
        home.root.mkdir(parents=True, exist_ok=True)
        (home.root / "alerts.yaml").write_text(json.dumps({"urls": urls, **more}))
        alerts.begin(home)
        return home

    return write


def announce(home, key="a", kind="failure", **event):
    alert = Alert(kind, "cart failed", "no rows", key, run="1", **event)
    return queue(home, alert, "http://x")


def log_of(home):
    file = home.root / "alerts" / "alerts.log"
    return file.read_text() if file.is_file() else ""


def everything_below(folder):
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_an_event_is_told_once_with_title_body_and_page(requests, inbox):
    home = requests(inbox.url)
    assert announce(home)
    assert not announce(home)  # the next tick, before it was sent
    alert_delivery.send_due(home)
    assert not announce(home)  # the next tick, afterwards
    alert_delivery.send_due(home)
    (got,) = inbox.got
    assert got["title"] == "kinemill: cart failed"
    assert got["message"] == "no rows\nhttp://x/runs/1"
    assert announce(home, "b")


def test_nobody_asked_for_alerts_so_nothing_is_written(home):
    home.root.mkdir()
    assert not announce(home)
    assert not (home.root / "alerts").exists()


def test_what_happened_before_alerts_were_asked_for_is_no_news(requests, inbox):
    home = requests(inbox.url)
    assert not announce(home, at=time.time() - 60.0)


def test_alerts_go_to_whom_task_owner_and_kind_are_routed(requests, inbox):
    route = {"urls": [inbox.url], "tasks": ["g1"], "owners": ["ada"], "on": ["drift"]}
    home = requests(routes=[route])
    assert not announce(home, "a", "drift", task="cart", owner="ada")
    assert not announce(home, "b", "drift", task="g1", owner="bob")
    assert not announce(home, "c", "failure", task="g1", owner="ada")
    assert announce(home, "d", "drift", task="g1", owner="ada")
    alert_delivery.send_due(home)
    assert len(inbox.got) == 1


def test_a_server_that_is_down_is_tried_again_later_and_then_dropped(requests, monkeypatch):
    home = requests(f"json://{SECRET}:{SECRET}@127.0.0.1:{free_port()}/{SECRET}")
    assert announce(home)
    alert_delivery.send_due(home)
    alert_delivery.send_due(home)  # too early for another try
    assert log_of(home).count("try 1 of 5") == 1
    assert "try 2" not in log_of(home)
    monkeypatch.setattr(alert_delivery, "FIRST_WAIT", 0.0)
    (path,) = alerts.waiting(home).iterdir()
    note = json.loads(path.read_text())
    path.write_text(json.dumps({**note, "next": {name: 0.0 for name in note["next"]}}))
    for _ in range(alert_delivery.TRIES + 2):
        alert_delivery.send_due(home)
    assert log_of(home).count("not sent to #1 json") == alert_delivery.TRIES
    assert log_of(home).count("dropped for #1 json after 5 tries") == 1
    assert not list(alerts.waiting(home).iterdir())
    assert not announce(home)  # the drop has been announced
    assert SECRET.encode() not in everything_below(home.root / "alerts")


def test_a_server_that_comes_back_gets_the_alert_once(requests, inbox, monkeypatch):
    monkeypatch.setattr(alert_delivery, "FIRST_WAIT", 0.0)
    home, inbox.status = requests(inbox.url), 503
    announce(home)
    alert_delivery.send_due(home)
    inbox.status, inbox.got[:] = 200, []
    for _ in range(3):
        alert_delivery.send_due(home)
    assert len(inbox.got) == 1


def test_one_dead_receiver_keeps_nothing_from_the_other(requests, inbox):
    home = requests(f"json://127.0.0.1:{free_port()}", inbox.url)
    announce(home, "a")
    announce(home, "b")
    alert_delivery.send_due(home)
    assert len(inbox.got) == 2
    assert log_of(home).count("not sent to #1") == 1  # b does not wait for it as well


def test_a_server_that_hangs_costs_its_time_limit_and_no_more(requests, monkeypatch):
    monkeypatch.setattr(alert_delivery, "LIMIT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"json://127.0.0.1:{silent.getsockname()[1]}/?rto=60&cto=60"
        home = requests(url)
        note = {"title": "t", "body": "b", "link": "", "kind": "test"}
        secret = next(url for _, url in alerts.settings(home).named())
        assert alert_delivery.send(secret, note, limit=0.3) is not None


@pytest.mark.parametrize("url", ["nonsense://x", "jsn", "http//127.0.0.1", ""])
def test_a_wrong_address_is_said_in_the_log_and_not_spelled(requests, url):
    home = requests(f"{url}{SECRET}")
    announce(home)
    alert_delivery.send_due(home)
    assert "apprise does not support this address" in log_of(home)
    assert SECRET not in log_of(home)


def test_a_mistake_in_the_file_is_told_by_line_and_without_addresses(home):
    home.root.mkdir()
    text = f"urls: ['slack://{SECRET}']\nquarantine_share: 3\nroutes: [{{urls: {SECRET}}}]\n"
    (home.root / "alerts.yaml").write_text(text)
    with pytest.raises(BadInput, match="line 2, quarantine_share") as error:
        alerts.settings(home)
    assert SECRET not in str(error.value)


def test_the_sender_is_a_process_that_nobody_waits_for(requests, inbox):
    home = requests(inbox.url)
    announce(home)
    began = time.monotonic()
    alert_delivery.deliver(home)
    took, until = time.monotonic() - began, time.monotonic() + 30.0
    while list(alerts.waiting(home).iterdir()) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(inbox.got) == 1
    assert took < 5.0  # of 60: starting a process, and no more


def test_a_sender_that_was_killed_leaves_the_alert_to_the_next(requests, inbox):
    """Killed before the try is noted and after: told in the end, and never lost."""
    home = requests(inbox.url)
    announce(home)
    script = (
        "import os\n"
        "from kinemill.store.home import Home\n"
        "from resources import alert_delivery\n"
        "alert_delivery.send = lambda *_: os.kill(os.getpid(), 9)\n"
        "alert_delivery.send_due(Home.resolve())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert done.returncode == -9
    (path,) = alerts.waiting(home).iterdir()
    note = json.loads(path.read_text())
    assert list(note["tries"].values()) == [1]
    path.write_text(json.dumps({**note, "next": {}}))
    alert_delivery.send_due(home)
    assert len(inbox.got) == 1
