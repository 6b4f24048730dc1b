"""Pages of the console: what they show, what they send, and what they cannot load."""

import json
import re
from html import unescape

import pytest
from starlette.testclient import TestClient

from kinemill.task import load_task
from kinemill_dagster.pipelines.instance import open_instance
from tests.rest_server import ScriptedDagster, rest_app

HEADERS = {"X-Kinemill-User": "otto", "X-Kinemill-May": "operate"}


@pytest.fixture
def client(copy):
    with open_instance(copy.home) as instance:
        app = rest_app(copy.home, instance, ScriptedDagster(instance).query)
        yield TestClient(app, headers=HEADERS)


def page(client, path, status=200):
    response = client.get(f"/kinemill/console/{path}")
    assert response.status_code == status, response.text
    return response.text


def test_the_form_has_todays_value_and_bounds_of_each_setting(client):
    text = page(client, "start/tiny")
    control = re.search(r'<input [^>]*data-key="learn.steps"[^>]*>', text)[0]
    assert 'type="number"' in control
    assert 'value="60"' in control
    assert 'data-value="60"' in control
    assert 'min="0"' in control
    assert "must be &gt; 0" in text
    values = re.findall(r'data-key="([^"]+)" data-kind="\w+" data-value="([^"]*)"', text)
    assert len(values) > 50
    assert "small" in text  # a preset


def test_all_values_of_the_form_are_valid_overrides(client):
    """A user who changes a setting and changes it back sends what the task has."""
    text = page(client, "start/tiny")
    values = re.findall(r'data-key="([^"]+)" data-kind="\w+" data-value="([^"]*)"', text)
    settings = load_task("tiny").model_dump(mode="json", by_alias=True)
    for key, value in values:
        body = {"overrides": {key: json.loads(unescape(value))}}
        response = client.post("/api/v1/tasks/tiny/settings", json=body)
        assert response.status_code == 200, f"{key}: {response.text}"
        assert response.json()["settings"] == settings, key


def test_a_run_is_followed_by_its_page(client):
    run = client.get("/api/v1/runs").json()["runs"][0]["id"]
    text = page(client, f"runs/{run}")
    assert f'data-run="{run}"' in text
    assert "completed" in text
    page(client, "runs/unknown", status=404)


def test_a_version_can_be_decided_about_on_its_page(client):
    text = page(client, "versions/tiny/1")
    assert 'data-path="models/tiny/rollback"' in text
    assert "models/tiny/promote" not in text  # it is champion
    assert 'name="expected" value="1"' in text
    assert "Decide about this version" in client.get("/kinemill/tasks/tiny/1").text
    page(client, "versions/tiny/7", status=404)
    page(client, "versions/nobody/1", status=404)


def test_the_quarantine_has_a_form_for_each_recording(client):
    text = page(client, "quarantine/tiny")
    recordings = client.get("/api/v1/tasks/tiny/quarantine").json()["recordings"]
    assert text.count('data-path="tasks/tiny/quarantine"') == len(recordings) > 0
    assert all(one["recording"] in text for one in recordings)


@pytest.mark.parametrize("path", ["start/tiny", "versions/tiny/1", "quarantine/tiny"])
def test_pages_load_their_own_script_alone(client, path):
    response = client.get(f"/kinemill/console/{path}")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; connect-src 'self'" in policy
    assert "unsafe-inline'; form-action 'none'" in policy
    assert re.findall(r"<script[^>]*>", response.text) == [
        '<script src="/kinemill/console/console.js" defer>'
    ]
    script = client.get("/kinemill/console/console.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert "innerHTML" not in script.text


def test_a_broken_task_and_an_unknown_one_are_errors(client):
    assert "did you mean" in page(client, "start/broken", status=404)
    page(client, "start/nobody", status=404)


def test_names_from_logs_are_escaped(client, copy):
    (copy.home.logs("tiny") / "<b>.csv").write_text("x")
    assert "<option>&lt;b&gt;.csv</option>" in page(client, "start/tiny")


def test_the_start_page_links_to_the_forms(client):
    text = client.get("/").text
    assert 'href="/kinemill/console/start/tiny"' in text
    assert 'href="/kinemill/console/quarantine/tiny"' in text
