"""Pages of the console: what they show, what they send, and what they cannot load."""

import json
import re
from html import unescape

import pytest

from kinemill.draft.draft_preview import DraftPreview
from kinemill.task import load_task, make_task
from kinemill_dagster.pipelines.server.rest import draft_store
from kinemill_dagster.pipelines.server.rest.bodies import TASK_NAME
from tests.pipelines.server.rest.conftest import draft_preview


def page(client, path, status=200):
    response = client.get(f"/kinemill/console/{path}")
    assert response.status_code == status, response.text
    return response.text


def test_run_form_has_the_value_and_bounds_of_each_setting(client):
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


def test_run_form_values_are_valid_overrides(client):
    """A user who changes a setting and changes it back sends what the task has."""
    text = page(client, "start/tiny")
    values = re.findall(r'data-key="([^"]+)" data-kind="\w+" data-value="([^"]*)"', text)
    settings = load_task("tiny").model_dump(mode="json", by_alias=True)
    for key, value in values:
        body = {"overrides": {key: json.loads(unescape(value))}}
        response = client.post("/api/v1/tasks/tiny/settings", json=body)
        assert response.status_code == 200, f"{key}: {response.text}"
        assert response.json()["settings"] == settings, key


def test_run_page_follows_its_run(client):
    run = client.get("/api/v1/runs").json()["runs"][0]["id"]
    text = page(client, f"runs/{run}")
    assert f'data-run="{run}"' in text
    assert "completed" in text
    page(client, "runs/unknown", status=404)


def test_version_page_offers_decisions(client):
    text = page(client, "versions/tiny/1")
    assert 'data-path="models/tiny/rollback"' in text
    assert "models/tiny/promote" not in text  # it is champion
    assert 'name="expected" value="1"' in text
    assert "Decide about this version" in client.get("/kinemill/tasks/tiny/1").text
    page(client, "versions/tiny/7", status=404)
    page(client, "versions/nobody/1", status=404)


def test_quarantine_page_has_a_form_for_each_recording(client):
    text = page(client, "quarantine/tiny")
    recordings = client.get("/api/v1/tasks/tiny/quarantine").json()["recordings"]
    reason = recordings[0]["reasons"][0]
    spelled = f"{reason['found']}, expected {reason['expected']}; {reason['fix']}"
    assert spelled in unescape(text)
    assert text.count('data-path="tasks/tiny/quarantine"') == len(recordings) > 0
    assert all(recording["recording"] in text for recording in recordings)


@pytest.mark.parametrize("path", ["new", "start/tiny", "versions/tiny/1", "quarantine/tiny"])
def test_page_loads_its_script_alone(client, path):
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


def test_broken_or_unknown_task_is_an_error(client):
    assert "did you mean" in page(client, "start/broken", status=404)
    page(client, "start/nobody", status=404)


def test_names_from_logs_are_escaped(client, copy):
    (copy.home.logs("tiny") / "<b>.csv").write_text("x")
    for path in ("start/tiny", "new"):
        text = page(client, path)
        assert 'data-log="&lt;b&gt;.csv"' in text
        assert "<b>.csv" not in text


def test_run_form_lists_new_and_known_logs(client, copy):
    drop = copy.home.logs("tiny")
    (drop / "run-0001.csv").unlink()
    text = page(client, "start/tiny")
    assert re.search(r'data-log="run-0000.csv".*?KiB.*?20\d\d-\d\d-\d\d', text)
    assert re.search(r'data-log="run-0001.csv".*?read before', text)
    (names,) = re.findall(r'<option value="1" data-names="([^"]*)">version 1, 20', text)
    assert "run-0001.csv" in json.loads(unescape(names))
    chosen_logs = {"overrides": {"ingest.include": json.loads(unescape(names))}}
    settings = client.post("/api/v1/tasks/tiny/settings", json=chosen_logs).json()["settings"]
    assert settings["ingest"]["include"] == json.loads(unescape(names))


def test_run_form_lists_many_logs_in_part(client, copy):
    for number in range(210):
        (copy.home.logs("tiny") / f"a-{number:03}.csv").write_text("x")
    text = page(client, "start/tiny")
    assert re.search(r"The first 200 of 2\d\d files are listed", text)


@pytest.fixture(scope="module")
def preview(logs, tmp_path_factory):
    """The preview of a draft of two logs."""
    names = ("run-0000.csv", "broken-nan-stretch.csv")
    return draft_preview(logs, tmp_path_factory.mktemp("own"), names)


def with_draft(client, copy, preview):
    """The id of a draft with a preview."""
    draft = client.post("/api/v1/drafts", json={"name": "arm"}).json()["id"]
    draft_store.open_draft(copy.home, draft, "otto").keep_preview(preview)
    return draft


def test_draft_page_shows_channels_with_curves_and_ranges(client, copy, preview):
    text = page(client, f"drafts/{with_draft(client, copy, preview)}")
    assert text.count("<svg") == text.count('data-field="name"') == 5
    assert "qpos_cart over time, s" in text.replace(", 1 over", " over")
    assert re.search(r"in logs −?0\.\d+ to 0\.\d+", text)
    assert text.count('<option value="derivative_of" selected>') == 2
    assert re.search(r'data-field="parent" [^>]*value="qpos_cart"', text)
    assert "position by name; unit?" in text
    assert "nan in 31 rows" in text  # a check of its own logs
    dt = re.search(r'<input [^>]*data-key="dt"[^>]*>', text)[0]
    assert 'value="0.01"' in dt
    assert 'max="86400"' in dt
    assert '<option value="null" selected>the best of a portfolio' in text


def test_draft_fields_are_valid_edits(client, copy, preview):
    """A user who changes nothing creates what was drafted."""
    draft = with_draft(client, copy, preview)
    text = page(client, f"drafts/{draft}")
    values = re.findall(r'data-key="([^"]+)" data-kind="\w+" data-value="([^"]*)"', text)
    assert len(values) > 60
    rows = [
        {"channel": name, "name": name, "role": own["role"], "unit": str(own["unit"])}
        | {"limits": own.get("limits"), "derivative_of": own.get("derivative_of")}
        for name, own in preview.task["channels"].items()
    ]
    as_settings = make_task(preview.task).model_dump(mode="json")
    for key, value in values:
        if key == "learn.epochs":  # null alone is neither steps nor epochs
            continue
        body = {"channels": rows, "settings": {key: json.loads(unescape(value))}}
        result = client.post(f"/api/v1/drafts/{draft}/edit", json=body).json()
        assert result["problems"] == [], key
        assert make_task(result["task"]).model_dump(mode="json") == as_settings, key


def test_names_from_a_draft_are_escaped(client, copy, preview):
    value = preview.model_dump()
    value["channels"][0] |= {"columns": ["<i>"], "reasons": ["<script>"]}
    value["notes"] = ["<b>bold</b>"]
    value["files"][0]["reasons"] = [
        {"check": "<u>", "channel": "", "where": "", "found": "<u>", "expected": ""}
    ]
    draft = with_draft(client, copy, DraftPreview.model_validate(value))
    text = page(client, f"drafts/{draft}")
    assert not re.search(r"<i>|<u>|<script>|<b>bold", text)


def test_draft_of_another_user_or_without_a_preview_is_404(client, copy, preview):
    draft = with_draft(client, copy, preview)
    headers = {"X-Kinemill-User": "eve", "X-Kinemill-May": "administer"}
    assert client.get(f"/kinemill/console/drafts/{draft}", headers=headers).status_code == 404
    empty = client.post("/api/v1/drafts", json={"name": "arm"}).json()["id"]
    assert "is not built yet" in page(client, f"drafts/{empty}", status=404)
    page(client, "drafts/unknown", status=404)


def test_form_of_a_new_task_says_what_a_name_may_be(client):
    field = re.search(r'<input name="name"[^>]*>', page(client, "new"))
    assert f'pattern="{TASK_NAME.strip("^$")}"' in field[0]
    rule = "small letters, digits and _, a letter first: my_robot"  # shown under a wrong name
    assert f'title="{rule}"' in field[0]
