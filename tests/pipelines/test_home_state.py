"""Cached state of a home: each change shows in the next request, for each user."""

import shutil
from pathlib import Path

import dagster as dg
import httpx
import pytest

from kinemill.tracking import open_tracking
from kinemill.tracking.jsonl import JsonLines
from kinemill.tracking.run_links import TrainingLink, note_training
from kinemill_dagster.pipelines.home_state import valid_task
from kinemill_dagster.pipelines.instance import open_instance
from kinemill_dagster.pipelines.server.auth.users import Users
from kinemill_dagster.resources.tags import RETRIED_BY
from tests.conftest import EXAMPLES, ROOT
from tests.pipelines.server.rest.conftest import make_site
from tests.rest_server import ScriptedDagster, serve

MATERIALIZATION = dg.DagsterEventType.ASSET_MATERIALIZATION


@pytest.fixture
def trained(copy):
    """A home on which the chain of `tiny` ran once, with REST on Dagster's real storage."""
    with open_instance(copy.home) as instance:
        yield make_site(copy.home, instance)


def test_unchanged_runs_are_not_read_again(trained, monkeypatch):
    (listed,) = trained.get("runs")["runs"]
    assert (listed["status"], listed["model"]) == ("completed", "models:/tiny/1")
    tasks = trained.get("tasks")
    for name in ("get_run_records", "get_records_for_run", "all_logs"):
        monkeypatch.setattr(dg.DagsterInstance, name, None)
    assert trained.get("runs")["runs"] == [listed]
    assert trained.get("tasks") == tasks


def test_run_is_listed_with_each_change(trained):
    (first,) = (line["id"] for line in trained.get("runs")["runs"])
    run = trained.dagster.add("tiny", status=dg.DagsterRunStatus.STARTED)
    note_training(trained.home, run, TrainingLink("runs/new", 100))
    folder = trained.home.runs / "new"
    folder.mkdir(parents=True)
    metrics = JsonLines(folder / "metrics.jsonl")

    def listed():
        line = trained.get("runs")["runs"][0]
        assert line["id"] == run
        return line["status"], line["step"], line["model"], line["resumed_by"]

    assert listed() == ("running", None, None, None)
    for step in (10, 20):
        metrics.log_metrics({"train/loss": 1.0}, step)
        assert listed() == ("running", step, None, None)
    for entry in trained.instance.all_logs(first, of_type=MATERIALIZATION):
        trained.instance.handle_new_event(entry._replace(run_id=run))
    assert listed() == ("running", 20, "models:/tiny/1", None)
    trained.instance.report_run_canceled(trained.instance.get_run_by_id(run))
    assert listed() == ("canceled", 20, "models:/tiny/1", None)
    trained.instance.add_run_tags(run, {RETRIED_BY: "next"})
    assert listed() == ("canceled", 20, "models:/tiny/1", "next")


def test_alias_of_another_client_shows_in_all_pages(trained):
    def aliases():
        (line,) = trained.get("models/tiny")["versions"]
        return line["aliases"]

    assert aliases() == ["champion"]
    open_tracking(trained.home).client.set_registered_model_alias("tiny", "tested", "1")
    assert aliases() == ["champion", "tested"]
    assert "tested" in trained.client.get("/kinemill/tasks/tiny").text
    open_tracking(trained.home).client.delete_registered_model_alias("tiny", "champion")
    assert aliases() == ["tested"]


def test_changed_task_file_shows_in_the_next_request(workspace, tmp_path, monkeypatch):
    shutil.copytree(workspace.tasks, tmp_path / "tasks")
    monkeypatch.setenv("KINEMILL_TASKS", str(tmp_path / "tasks"))
    file = tmp_path / "tasks" / "tiny.yaml"
    with dg.DagsterInstance.ephemeral() as instance:
        site = make_site(workspace.home, instance)

        def problem():
            return site.get("tasks")["tasks"][1]["problem"]

        assert problem() is None
        file.write_text(file.read_text().replace("dt: 0.02", "dt: -1"))
        assert "dt" in problem()
        file.write_text(file.read_text().replace("dt: -1", "dt: 0.02"))
        assert problem() is None
        file.write_text(f"{file.read_text()}augment: [{{type: 'my_aug.py:shake'}}]\n")
        code = shutil.copy(ROOT / "examples" / "own_code" / "my_aug.py", file.parent)
        assert problem() is None
        Path(code).unlink()  # the task file is unchanged
        assert "there is no file" in problem()


def test_version_page_shows_a_deleted_dataset(trained):
    address = "/kinemill/tasks/tiny/1"
    gone = "no longer in this home"
    assert gone not in trained.client.get(address).text
    shutil.rmtree(next((trained.home.store / "dataset" / "tiny").glob("*")))
    assert gone in trained.client.get(address).text


def test_rights_are_checked_before_a_cached_answer(copy, quick_hashes):
    with open_instance(copy.home) as instance:
        scripted = ScriptedDagster(instance)
        with serve(copy.home, instance, scripted.query, vic="viewer", otto="operator") as served:
            url, tokens = served

            def get(path, name):
                headers = {"Authorization": f"Bearer {tokens.get(name, 'none')}"}
                return httpx.get(f"{url}{path}", headers=headers)

            for path in ("/api/v1/runs", "/api/v1/tasks", "/", "/kinemill/tasks/tiny/1"):
                answers = [get(path, name) for name in ("otto", "vic", "nobody")]
                assert [answer.status_code for answer in answers] == [200, 200, 401], path
                assert answers[0].text == answers[1].text
            body = {"name": "drafted", "preset": None}
            headers = {"Authorization": f"Bearer {tokens['vic']}"}
            assert httpx.post(f"{url}/api/v1/drafts", json=body, headers=headers).status_code == 403
            Users(copy.home).remove("vic")
            assert [get("/api/v1/runs", name).status_code for name in ("otto", "vic")] == [200, 401]


def test_task_with_a_built_in_plant_is_read_once(tmp_path):
    path = Path(shutil.copy(EXAMPLES / "cart_pole_swing_up_loop.yaml", tmp_path))
    task = valid_task(path)
    assert task.control.plant == "cart_pole_swing_up"
    assert valid_task(path) is task
