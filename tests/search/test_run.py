"""Searches over recordings that were ingested and validated."""

import math

import polars as pl
import pytest

from kinemill.errors import BadInput
from kinemill.ingest import stage as ingest
from kinemill.query import QueryError
from kinemill.search import search
from kinemill.search.run import Page
from kinemill.search.tags import add_tag
from kinemill.search.view import open_view
from kinemill.task import load_task
from kinemill.validate import stage as validate
from kinemill.validate.recording_status import decide_quarantine, recording_statuses


@pytest.fixture
def names(task, home):
    """Names of the recordings that match."""

    def find(query, versions=None):
        return search(task, home, query, Page(["name"]), versions).frame["name"].to_list()

    return find


@pytest.fixture
def five(logs, update, task):
    """Five logs: c.csv exceeds its limit of 5 N*m."""
    logs("a.csv", 1, 1.0, robot="r7", firmware="2.9", batch="7")
    logs("b.csv", 2, 2.0, robot="r7", firmware="2.10", batch="12")
    logs("c.csv", 3, 9.0, robot="r8", firmware="v2.10.1", batch="x")
    logs("d.csv", 4, 4.0, robot="r8", firmware="beta")
    update(task, logs("sub/e.csv", 5, 3.0))


CASES = {
    "": "abcde",
    "robot = 'r7'": "ab",
    "robot <> 'r7'": "cd",
    "not robot = 'r7'": "cd",
    "robot is null or \"meta.robot\" = 'r7'": "abe",
    "robot in ('r8', 'r9')": "cd",
    "firmware = '2.10'": "b",
    "TRY_CAST(batch AS DOUBLE) >= 7": "ab",
    "max(torque) > 2": "cde",
    "max(torque) between 2 and 3500 N*mm": "be",
    "max(torque) > 2 and status <> 'quarantined'": "de",
    "mean(torque) > 1.4 and mean(torque) < 1.6": "b",
    "min(torque) < max(torque)": "abcde",
    "status = 'quarantined'": "c",
    "status in ('accepted', 'quarantined')": "abcde",
    "status = 'not validated'": "",
    "array_contains(found, 'limits')": "c",
    "not array_contains(found, 'limits')": "abde",
    "array_length(found) > 0": "c",
    "name like 'sub/%'": "e",
    "name like '_.csv' and not name = 'a.csv'": "bcd",
    "start >= '2026-01-01T00:00:03'": "cde",
    "start > '2026-01-01T01:00:03+01:00'": "de",
    "start between '2026-01-01' and '2026-01-01T00:00:03'": "abc",
    "start < '2026-01-01'": "",
    "seconds > 0.57 and seconds < 600 ms": "abcde",
    "rows = 60 and dropped_rows = 0 and bytes > 1000": "abcde",
    "episodes = 0": "c",
    "true": "abcde",
}


def test_conditions_choose_the_recordings_that_they_describe(five, names):
    letters = {
        query: "".join(name.removeprefix("sub/")[0] for name in names(query)) for query in CASES
    }
    assert letters == CASES


def test_a_page_is_sorted_by_name_and_tells_the_number_of_all(five, task, home):
    page = search(task, home, "status = 'accepted'", Page(["name", "robot", "max(torque)"], 1, 2))
    assert page.total == 4
    assert page.frame.rows() == [("b.csv", "r7", 2.0), ("d.csv", "r8", 4.0)]
    with pytest.raises(BadInput, match="did you mean 'robot'"):
        search(task, home, "", Page(["robto"]))


def test_an_unknown_key_of_the_metadata_is_an_error(five, names):
    with pytest.raises(QueryError, match="did you mean 'firmware'"):
        names("firmware_ = '2'")


def test_tags_are_conditions(five, names, task, home):
    hashes = search(task, home, "robot = 'r7'").frame["recording"].to_list()
    add_tag(home, task.name, hashes, "slip")
    assert names("array_contains(tag, 'slip')") == ["a.csv", "b.csv"]
    assert names("not array_contains(tag, 'slip') and robot = 'r8'") == ["c.csv", "d.csv"]
    tags = search(task, home, "robot = 'r7'", Page(["tag"])).frame["tag"].to_list()
    assert tags == [["slip"], ["slip"]]


def test_splits_and_versions_are_those_of_their_listings(five, names, task, home):
    hashes = dict(search(task, home, "", Page(["name", "recording"])).frame.iter_rows())
    listings = {
        "1": {"a.csv": ["train"], "b.csv": ["test"]},
        "latest": {"a.csv": ["train", "validation"], "b.csv": ["test"], "d.csv": ["test"]},
    }

    def read(which):
        rows = {hashes[name]: splits for name, splits in listings[which].items()}
        return pl.DataFrame({"recording": [*rows], "split": [*rows.values()]})

    assert names("array_contains(split, 'test')", read) == ["b.csv", "d.csv"]
    assert names("array_contains(version, 1) and array_contains(split, 'test')", read) == ["b.csv"]
    assert names("array_contains(split, 'validation')", read) == ["a.csv"]
    added = "array_contains(version, 'latest') and not array_contains(version, 1)"
    assert names(added, read) == ["d.csv"]
    with pytest.raises(QueryError, match="one version"):
        names(f"array_contains(split, 'test') and {added}", read)


def test_decisions_change_the_status(five, names, task, home):
    decide_quarantine(task, home, "release", "c.csv", "as planned")
    decide_quarantine(task, home, "reject", "a.csv", "wrong robot")
    assert names("status = 'rejected'") == ["a.csv"]
    # Released, and not validated again yet.
    recordings = ingest.publish_members(task, home).ref
    validate.run(task, home, recordings)
    assert names("status = 'released'") == ["c.csv"]
    assert names("status = 'accepted'") == ["b.csv", "d.csv", "sub/e.csv"]


def test_real_logs_have_the_status_that_data_list_shows(home, shared_data):
    task = load_task("double_pendulum", {"ingest.min_file_age": 0.0})
    report = ingest.run(task, home, shared_data / "double_pendulum_sysid")
    validate.run(task, home, report.artifact.ref)
    expected = {status.member.hash: status.status for status in recording_statuses(task, home)[1]}
    page = search(task, home, "", Page(["recording", "status", "max(elbow_velocity)"]))
    assert {row[0]: row[1] for row in page.frame.iter_rows()} == expected
    assert len(open_view(task, home)) == len(expected) == 12
    assert all(math.isfinite(row[2]) for row in page.frame.iter_rows())
