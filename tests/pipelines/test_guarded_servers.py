"""The real servers behind their guard, asked by a hostile page in a browser."""

import functools
import http.server
import json
import threading
from pathlib import Path

import pytest

from benchmarks._browser import CHROMIUM, browser
from kinemill.store.home import Home
from tests.pipelines.conftest import Workspace
from tests.pipelines.serving import serve

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

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


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_hostile_page_in_the_same_browser_is_refused(served, tmp_path):
    url = served.urls["Dagster"]
    (tmp_path / "evil.html").write_text(EVIL % {"url": url, "body": json.dumps(LAUNCH)})
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    log = served.workspace.home.dagster / "servers" / "dagster.log"
    previous = len(log.read_text())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as page:
        threading.Thread(target=page.serve_forever, daemon=True).start()
        evil = f"http://localhost:{page.server_address[1]}/evil.html"
        with browser(tmp_path / "profile") as tab:
            tab.open(evil)
            tab.wait_for("socket=closed")
            message = tab.evaluate("document.getElementById('told').textContent")
        page.shutdown()
    assert "json=blocked" in message
    assert "socket=open" not in message
    said = log.read_text()[previous:]
    assert said.count("refused ") >= 3, said  # the browser did send them
    assert "['reloadWorkspace']" not in said  # and none was let through


def test_server_logs_have_no_secret(served, token):
    for log in Path(served.workspace.home.dagster / "servers").glob("*.log"):
        assert token not in log.read_text()
        assert PASSWORD not in log.read_text()
