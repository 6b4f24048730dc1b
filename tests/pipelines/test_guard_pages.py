"""The mill's own pages beside Dagster's: what they show, and that they show no more."""

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from kinemill_dagster.pipelines.auth.pages import with_pages
from kinemill_dagster.resources.links import report_link, task_link, version_link


@pytest.fixture
def client(workspace):
    reports = workspace.home.store / "verification" / "tiny" / "abc"
    reports.mkdir(parents=True)
    (reports / "report.html").write_text("<h1>report</h1>")
    (reports / "weights.safetensors").write_text("secret")
    (reports / "way-out.html").symlink_to(workspace.home.root / "users.html")
    (workspace.home.root / "users.html").write_text("secret")
    return TestClient(with_pages(PlainTextResponse("dagster"), workspace.home))


def test_reports_of_the_store_are_shown_in_a_sandbox(client, workspace):
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
def test_nothing_else_of_the_home_is_shown(client, path):
    response = client.get(f"/kinemill/files/{path}")
    assert "secret" not in response.text
    assert response.status_code == 404 or response.text == "dagster"


def test_tasks_without_a_version_say_so_and_dagster_keeps_the_rest(client):
    assert ">tiny<" in client.get("/kinemill/tasks").text
    assert client.get(task_link("tiny").value).status_code == 404
    assert client.get(version_link("tiny", 3).value).status_code == 404
    assert client.get("/kinemill/tasks/..%2f..%2fetc").status_code == 404
    assert client.get("/runs/1").text == "dagster"
