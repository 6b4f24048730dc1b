"""The mill's own pages beside Dagster's: what they show, and that they show no more."""

import json
import shutil
from html import escape

import dagster as dg
import pytest
from starlette.testclient import TestClient

from kinemill.register.gate.headline import headline_of
from kinemill.register.versions import versions_of
from kinemill.store import publish_json
from kinemill_dagster.pipelines.instance import open_instance
from kinemill_dagster.resources.links import report_link, task_link, version_link
from tests.conftest import ROOT
from tests.rest_server import rest_app


@pytest.fixture
def client(workspace, monkeypatch):
    monkeypatch.setenv("KINEMILL_DAGSTER_URL", "http://127.0.0.1:3000")
    reports = workspace.home.store / "verification" / "tiny" / "abc"
    reports.mkdir(parents=True)
    (reports / "report.html").write_text("<h1>report</h1>")
    (reports / "weights.safetensors").write_text("secret")
    (reports / "way-out.html").symlink_to(workspace.home.root / "users.html")
    (workspace.home.root / "users.html").write_text("secret")
    with dg.DagsterInstance.ephemeral() as instance:
        yield TestClient(rest_app(workspace.home, instance, None))


def test_report_of_the_store_is_shown_in_a_sandbox(client, workspace):
    link = report_link(
        workspace.home, workspace.home.store / "verification" / "tiny" / "abc" / "report.html"
    )
    response = client.get(link.value)
    assert response.text == "<h1>report</h1>"
    policy = response.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts ")
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize(
    "path",
    [
        "users.html",
        "store/../users.html",
        "store/%2e%2e/users.html",
        "store/verification/tiny/abc/weights.safetensors",
        "store/verification/tiny/abc/way-out.html",
        "store",
        "/etc/passwd",
    ],
)
def test_other_files_of_the_home_are_404(client, path):
    response = client.get(f"/kinemill/files/{path}")
    assert "secret" not in response.text
    assert response.status_code == 404 or response.text == "dagster"


def test_task_without_a_version_has_a_page(client, workspace):
    assert ">tiny<" in client.get("/kinemill/tasks").text
    assert "has no version yet" in client.get(task_link(workspace.home, "tiny").value).text
    assert client.get(version_link(workspace.home, "tiny", 3).value).status_code == 404
    assert client.get("/kinemill/tasks/..%2f..%2fetc").status_code == 404
    assert client.get("/runs/1").text == "dagster"


def test_start_page_of_a_new_project_names_the_next_command(client):
    page = client.get("/")
    assert page.headers["content-security-policy"].startswith("sandbox allow-scripts ")
    assert 'href="/kinemill/console/new"' in page.text
    assert 'href="/kinemill/console/start/tiny">Start a run</a>' in page.text
    assert 'href="/kinemill/console/quarantine/tiny"' in page.text
    assert "broken" in page.text
    assert "did you mean &#x27;channels&#x27;?" in page.text  # the broken task file, escaped
    assert client.get("/kinemill", follow_redirects=False).headers["location"] == "/"


def test_start_page_asks_no_logs_of_a_task_with_an_environment(client, tmp_path, monkeypatch):
    folder = tmp_path / "examples"
    folder.mkdir()
    for name in ("pendulum", "cartpole_rl"):
        shutil.copy(ROOT / "examples" / "tasks" / f"{name}.yaml", folder)
    monkeypatch.setenv("KINEMILL_TASKS", str(folder))
    steps = client.get("/").text.partition(">Next steps</h2>")[2].partition("</ul>")[0]
    assert steps.count("drop folder") == 1
    assert steps.index("cartpole_rl") < steps.index("pendulum") < steps.index("drop folder")


def test_start_page_shows_the_champion_and_the_last_run(copy):
    with open_instance(copy.home) as instance:
        page = TestClient(rest_app(copy.home, instance, None)).get("/").text
    assert 'href="/kinemill/tasks/tiny/1">version 1</a>' in page
    (version,) = versions_of(copy.home, "tiny")
    assert escape(headline_of(version).performance) in page
    assert ">completed</a>" in page
    assert '<a href="/kinemill/tasks/tiny/1">tiny 1</a>' in page  # among the recent decisions
    assert "champion, by " in page
    assert "tiny has no model yet" not in page


def test_start_page_shows_the_refused_version(client, workspace):
    home = workspace.home
    publish_json(
        home.dagster / "refs" / "latest" / "tiny" / "registered_model.json",
        {"path": "store/d", "digest": "0" * 64},
    )
    (home.store / "d").mkdir(parents=True)
    line = {"rule": "beats_<b>", "passed": False, "value": 0.5, "expected": "<= 0.4"}
    decision = {
        "task": "tiny",
        "version": 3,
        "decision": "refused",
        "previous_champion": 1,
        "gate": [line],
    }
    (home.store / "d" / "decision.json").write_text(json.dumps(decision))
    page = client.get("/").text
    assert "tiny version 3 is refused" in page
    assert "beats_&lt;b&gt;: 0.5, expected &lt;= 0.4" in page
