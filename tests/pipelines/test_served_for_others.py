"""The real servers as others use them: by tokens, from a home of their own, within their limits."""

import json
import shutil
import urllib.error
import urllib.request

import pytest

from kinemill.store.home import Home
from tests.pipelines.conftest import TASK, TINY, Workspace, copy_home
from tests.pipelines.serving import LAUNCH, TERMINATE, selector, serve
from tests.pipelines.test_guarded_servers import PASSWORD
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

MANY = [f"tiny{number}" for number in range(4)]  # runs of one task wait for each other
SECRET, ADDRESS = "a secret that both of them know", "https://mill.example"
LONG = {"steps": 1_000_000, "patience": None}


@pytest.fixture(scope="module")
def home(tmp_path_factory, first_run, logs):
    """A home with a champion of `tiny`, logs of four more tasks, and two users."""
    from kinemill_dagster.pipelines.server.auth.users import Users

    original, _ = first_run
    root = tmp_path_factory.mktemp("served")
    copy_home(original.home, root / "home")
    (root / "tasks").mkdir()
    quiet = TINY.replace("{cron: null}", "{cron: null, on_arrival: false}")
    site = Workspace(Home(root / "home"), root / "tasks")
    for name in (TASK, *MANY):
        text = quiet.replace("task: tiny", f"task: {name}")
        (site.tasks / f"{name}.yaml").write_text(text)
        shutil.copytree(logs, site.home.logs(name), dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        site.enter(patch)
        for name in ("otto", "olga"):
            Users(site.home).put(name, "operator", PASSWORD)
        Users(site.home).put_proxied("group:robots", "operator")
        patch.setenv("KINEMILL_PROXY_SECRET", SECRET)
        yield site


@pytest.fixture(scope="module")
def served(home):
    """Servers that want a token of everybody, and believe a proxy on this machine."""
    with serve(home, "--login", "--proxy", "127.0.0.1", "--name", ADDRESS) as active:
        yield active


def token_of(served, name):
    from kinemill_dagster.pipelines.server.auth.users import Users

    return Users(served.workspace.home).renew_token(name)


def test_user_named_by_the_proxy_owns_the_launched_run(served):
    body = {
        "selector": selector(TASK),
        "mode": "default",
        "executionMetadata": {"tags": [{"key": "kinemill/owner", "value": "otto"}]},
    }

    def ask(**more):
        named = {name.replace("_", "-"): value for name, value in more.items()}
        own = {"Content-Type": "application/json", "Host": "mill.example", "Origin": ADDRESS}
        request = urllib.request.Request(
            f"{served.urls['Dagster']}/graphql",
            json.dumps({"query": LAUNCH, "variables": {"p": body}}).encode(),
            {**own, "X-Forwarded-User": "ada@mill.example", **named},
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, None

    robots = {"X_Forwarded_Groups": "robots", "X_Kinemill_Proxy": SECRET}
    assert ask(X_Forwarded_Groups="robots")[0] == 401
    assert ask(**robots | {"X_Kinemill_Proxy": "wrong"})[0] == 403
    assert ask(**robots | {"X_Forwarded_Groups": "guests"})[0] == 403
    assert ask(**robots | {"Origin": "https://evil.example"})[0] == 403
    code, result = ask(**robots)
    run = result["data"]["launchPipelineExecution"]["run"]["runId"]
    tags = next(each["tags"] for each in served.runs() if each["runId"] == run)
    assert (code, {"key": "kinemill/owner", "value": "ada@mill.example"} in tags) == (200, True)
    served.ask(TERMINATE, id=run)
    for server in ("dagster", "mlflow"):
        assert (
            SECRET not in (served.workspace.home.dagster / "servers" / f"{server}.log").read_text()
        )


def test_owner_limits_cancellation_and_metrics_follow_the_guard(served):
    """Otto has two places, whatever he says of whose runs they are; Olga has her own."""
    otto, olga = token_of(served, "otto"), token_of(served, "olga")
    overrides = {f"learn.{name}": value for name, value in LONG.items()}

    def start(token, task, owner):
        return served.document(
            "runs", {"task": task, "owner": owner, "overrides": overrides}, token
        )

    def cancel(token, run):
        assert served.document(f"runs/{run}/cancel", {}, token)["status"] == "canceled"

    first, second, third = (start(otto, task, task) for task in MANY[:3])
    fourth = start(olga, MANY[3], "otto")
    assert [run["owner"] for run in (first, second, third, fourth)] == ["otto"] * 3 + ["olga"]
    until(
        lambda: [served.status(run["id"]) for run in (first, second, fourth)] == ["STARTED"] * 3,
        "two runs of Otto's and one of Olga's",
    )
    assert served.status(third["id"]) == "QUEUED"
    ended = _follow_and_cancel(served, otto)
    if ended == fourth["id"]:
        assert served.status(third["id"]) == "QUEUED"
        ended = first["id"]
        cancel(otto, ended)
    until(lambda: served.status(third["id"]) == "STARTED", "the place that became free")
    for run in served.runs():
        if run["status"] in ("STARTED", "QUEUED"):
            cancel(olga, run["runId"])


def _follow_and_cancel(served, token):
    """Follow the one that trains (there is one place to train) and end it; return its id."""
    run = until(lambda: _with_numbers(served, token), "numbers in MLflow")
    with served.rest(f"runs/{run}/metrics/stream", token=token) as stream:
        events = _events(stream)
        points = next(data["points"] for name, data in events if name == "points")
        assert any("train/loss" in point for point in points)
        assert [point["step"] for point in points] == sorted(point["step"] for point in points)
        assert served.document(f"runs/{run}/cancel", {}, token)["status"] == "canceled"
        assert next(data["status"] for name, data in events if name == "end") == "canceled"
    return run


def _events(stream):
    """Name and data of each server-sent event."""
    name = ""
    for line in stream:
        key, _, value = line.decode().rstrip().partition(": ")
        if key == "event":
            name = value
        elif key == "data":
            yield name, json.loads(value)


def _task_of(run):
    return next((tag["value"] for tag in run["tags"] if tag["key"] == "kinemill/task"), None)


def _with_numbers(served, token):
    for run in served.runs():
        if run["status"] == "STARTED" and _task_of(run) in MANY:
            points = served.document(f"runs/{run['runId']}/metrics", token=token)["points"]
            if len({point["step"] for point in points}) > 5:
                return run["runId"]
    return None
