"""The real servers behind their guard, asked by curl, MLflow's client, a websocket, a browser."""

import functools
import http.server
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from kinemill.store.home import Home
from tests.pipelines.conftest import Workspace
from tests.pipelines.serving import serve

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CHROMIUM, CURL = shutil.which("chromium"), shutil.which("curl")
LAUNCH = json.dumps({"query": "mutation { reloadWorkspace { __typename } }"})
PASSWORD = "correct horse battery"

EVIL = """<html><body><iframe src="%(url)s/" onload="say('frame', 'loaded')"></iframe>
<pre id="told"></pre><script>
const body = %(body)s, url = "%(url)s/graphql";
const say = (name, what) => document.getElementById("told").textContent += name + "=" + what + ";";
(async () => {
  await fetch(url, {method: "POST", mode: "no-cors", headers: {"Content-Type": "text/plain"}, body})
    .then(() => say("post", "sent"), () => say("post", "blocked"));
  await fetch(url + "?query=" + encodeURIComponent(JSON.parse(body).query), {mode: "no-cors"})
    .then(() => say("get", "sent"), () => say("get", "blocked"));
  await fetch(url, {method: "POST", headers: {"Content-Type": "application/json"}, body})
    .then(() => say("json", "read"), () => say("json", "blocked"));
  const socket = new WebSocket(url.replace("http", "ws"), "graphql-ws");
  socket.onopen = () => say("socket", "open");
  socket.onclose = () => say("socket", "closed");
})();
</script></body></html>"""


@pytest.fixture(scope="module")
def served(tmp_path_factory, tasks):
    """`kinemill ui` on an empty home, with an operator and a viewer beside its owner."""
    from kinemill_dagster.pipelines.server.auth.users import Users

    site = Workspace(Home(tmp_path_factory.mktemp("guarded") / "home"), tasks)
    with pytest.MonkeyPatch.context() as patch:
        site.enter(patch)
        users = Users(site.home)
        for name in ("viewer", "operator"):
            users.put(f"{name}s-name", name, PASSWORD)
        with serve(site) as active:
            yield active


@pytest.fixture(scope="module")
def token(served):
    return (served.workspace.home.dagster / "servers" / "token").read_text()


def curl(url, *arguments):
    """The status that curl gets."""
    if CURL is None:
        pytest.skip("curl is not installed")
    requested = [CURL, "-s", "-o", os.devnull, "-w", "%{http_code}", url, *arguments]
    return int(subprocess.run(requested, check=True, capture_output=True, timeout=60).stdout)


def chromium(*arguments):
    """Run a headless browser; return what it prints."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    quiet += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command = [CHROMIUM, *quiet, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout


def test_hostile_page_in_the_same_browser_is_refused(served, tmp_path):
    url = served.urls["Dagster"]
    (tmp_path / "evil.html").write_text(EVIL % {"url": url, "body": json.dumps(LAUNCH)})
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    log = served.workspace.home.dagster / "servers" / "dagster.log"
    previous = len(log.read_text())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as page:
        threading.Thread(target=page.serve_forever, daemon=True).start()
        evil = f"http://localhost:{page.server_address[1]}/evil.html"
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        message = chromium(profile, "--virtual-time-budget=8000", "--dump-dom", evil)
        page.shutdown()
    assert "json=blocked" in message
    assert "socket=closed" in message
    assert "socket=open" not in message
    said = log.read_text()[previous:]
    assert said.count("refused ") >= 3, said  # the browser did send them
    assert "['reloadWorkspace']" not in said  # and none was let through


def test_server_logs_have_no_secret(served, token):
    for log in Path(served.workspace.home.dagster / "servers").glob("*.log"):
        assert token not in log.read_text()
        assert PASSWORD not in log.read_text()
