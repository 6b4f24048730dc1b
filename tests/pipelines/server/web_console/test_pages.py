"""Page that compares two versions: its form, and errors in place of a comparison."""

from kinemill.register.versions import Version
from kinemill.task import load_task
from kinemill_dagster.pipelines.server.web_console.pages import compare_page
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
