"""Page that compares two versions: its form and errors; page of a run: its result."""

from kinemill.register.versions import Version
from kinemill.task import load_task
from kinemill_dagster.pipelines.server.rest.documents import RunDocument
from kinemill_dagster.pipelines.server.web_console.pages import compare_page, run_page
from tests.pipelines.conftest import TASK


def versions(home, *aliases):
    """Return a version for each tuple of aliases, newest first."""
    numbers = range(len(aliases), 0, -1)
    return [
        Version(home, TASK, number, of, "2026-03-01T00:00:00+00:00", None, "", "", {})
        for number, of in zip(numbers, aliases, strict=True)
    ]


def page(workspace, a, b, *aliases):
    return compare_page(load_task(TASK), workspace.home, versions(workspace.home, *aliases), a, b)


def test_page_with_one_version_has_no_form(workspace):
    text = page(workspace, "", "", ("champion",))
    assert "A comparison needs two versions" in text
    assert "<form" not in text


def test_page_selects_the_champion_and_the_newest_other_version(workspace):
    text = page(workspace, "", "", (), ("champion",), ())
    first, second = text.split('<select name="a">')[1].split('<select name="b">')
    assert '<option value="2" selected>' in first
    assert '<option value="3" selected>' in second


def test_page_with_a_version_selected_twice_names_the_fix(workspace):
    text = page(workspace, "2", "2", (), ("champion",))
    assert 'role="alert">version 2: is selected twice; select two versions' in text


def test_page_with_a_missing_version_has_an_error_without_commands(workspace):
    text = page(workspace, "1", "7", (), ("champion",))
    assert 'role="alert">' in text
    assert "kinemill " not in text.partition('role="alert">')[2].partition("</p>")[0]


def run_text(status, **result):
    moment = "2026-03-01T00:00:00+00:00"
    fields = {"id": "0" * 36, "task": TASK, "status": status, "step": None, "total_steps": None}
    fields |= {"loss": None, "parameters": {}, "error": None, "model": None, "owner": None}
    fields |= {"stage": None, "why": None, "waits_for": None, "resumed_by": None}
    fields |= {"created_at": moment, "completed_at": moment}
    return run_page(RunDocument(**(fields | result)))


def test_page_of_a_failed_run_has_its_error_without_commands(workspace):
    error = f"no complete log of {TASK}; put logs there, or name a folder with --logs"
    text = run_text("failed", error=error)
    assert f'<p class="message bad">no complete log of {TASK}; put logs there</p>' in text
    assert "Cancel the run" not in text


def test_page_of_a_completed_run_leads_to_its_version(workspace):
    text = run_text("completed", model=f"models:/{TASK}/3")
    assert f'<a href="/kinemill/tasks/{TASK}/3">Version 3 and the decision of the gate</a>' in text


def test_page_of_a_queued_run_says_what_it_waits_for_and_why_it_started(workspace):
    text = run_text("queued", owner="kinemill", why="2 new logs", waits_for="run 1 to end")
    assert "It waits for run 1 to end." in text
    assert "Started by kinemill, because of this: 2 new logs," in text
    assert "Cancel the run" in text
