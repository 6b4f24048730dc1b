"""Saved views: a query with a name, until it is deleted."""

import pytest

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.query import QueryError
from kinemill.search import search
from kinemill.search.run import Page, usual_columns
from kinemill.search.saved_views import delete_view, save_view, saved_views
from kinemill.search.tags import add_tag
from kinemill.store.home import Home
from tests.search.conftest import arm


@pytest.fixture
def names(task, home):
    """Names of the recordings that match."""
    return lambda query: search(task, home, query, Page(["name"])).frame["name"].to_list()


@pytest.fixture
def three(logs, update, task):
    """Three logs of two robots; c.csv exceeds its limit of 5 N*m."""
    logs("a.csv", 1, 1.0, robot="r7")
    logs("b.csv", 2, 2.0, robot="r8")
    update(task, logs("c.csv", 3, 9.0, robot="r8"))


def test_a_view_is_used_in_queries_and_other_views_and_can_be_replaced(task, home, names, three):
    save_view(task, home, "r8", "robot = 'r8'")
    save_view(task, home, "bad", "@r8 and quarantined")
    assert names("@bad") == ["c.csv"]
    assert names("@r8 and not @bad") == ["b.csv"]
    assert "robot" in usual_columns(task, home, "@bad")
    save_view(task, home, "r8", "robot = 'r7' or robot = 'r8'")
    assert names("not @r8") == []
    views = saved_views(home, task.name)
    assert [(one.number, one.name) for one in views.values()] == [(2, "bad"), (3, "r8")]


def test_a_wrong_query_or_name_is_not_saved(task, home, names, three):
    save_view(task, home, "good", "accepted")
    for name, query, message in (
        ("a b", "accepted", "is not a name of a view"),
        ("x", "robt = 'r7'", "did you mean 'robot'"),
        ("x", "@god", "there is no view @god; did you mean 'good'"),
        ("x", "accepted or @x", "the view @x refers to itself: @x -> @x"),
        ("good", "not @good", "the view @good refers to itself"),
        ("x", "", "found the end of the query"),
    ):
        with pytest.raises(BadInput, match=message):
            save_view(task, home, name, query)
    assert [*saved_views(home, task.name)] == ["good"]
    with pytest.raises(QueryError, match="did you mean 'good'"):
        names("@goood")


def test_a_view_that_is_used_cannot_be_deleted(task, home, names, three):
    save_view(task, home, "good", "accepted")
    save_view(task, home, "best", "@good and max(torque) < 2")
    with pytest.raises(BadInput, match="view @good: is used by the view @best"):
        delete_view(task, home, "good")
    ruled = arm(dataset={"where": "@best"})
    with pytest.raises(BadInput, match=r"view @best: is used by dataset\.where of arm"):
        delete_view(ruled, home, "best")
    delete_view(task, home, "@best")
    delete_view(task, home, "good")
    with pytest.raises(QueryError, match="there is no view @good"):
        names("@good")
    with pytest.raises(BadInput, match="view @good: does not exist; arm has no views"):
        delete_view(task, home, "good")


def test_a_damaged_view_is_an_error_and_not_a_missing_view(task, home, three):
    save_view(task, home, "good", "accepted")
    (home.store / "views" / "arm" / "000001.json").write_text("{")
    with pytest.raises(CorruptArtifact):
        search(task, home, "@good")


def test_another_machine_uses_the_views_and_tags(task, home, names, three, tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMILL_REMOTE", f"file://{tmp_path}/shared")
    other = Home(tmp_path / "other")
    recording = search(task, home, "name = 'a.csv'", Page(["recording"])).frame["recording"].item()
    save_view(arm(), other, "slipped", "tag('slip')")
    add_tag(other, "arm", [recording], "slip")
    assert names("@slipped") == ["a.csv"]
