"""`kinemill data search`: a table for people, JSON, and files."""

import polars as pl
import pytest

import kinemill.api as km
from kinemill.dataset import stage as dataset_stage
from kinemill.errors import BadInput
from kinemill.ingest import stage as ingest
from kinemill.query import QueryError
from kinemill.store.home import Home
from kinemill.task import load_task
from tests.cli.conftest import spike


@pytest.fixture
def three(swing, log, evaluated):
    """Two good logs of one robot, and one with a spike that cuts rows out of it."""
    for name, phase in (("a.csv", 0.0), ("b.csv", 1.0)):
        log(name, phase=phase).with_name(f"{name}.meta.yaml").write_text("robot: r7\n")
    path = log("c.csv", phase=2.0, spoil=spike)
    evaluated(swing(), path.parent)


def test_a_query_lists_recordings_with_the_columns_that_it_names(three, kinemill):
    query = "robot = 'r7' and max(velocity) < 300 deg/s"
    listed = kinemill("data", "search", "swing", query, "--json")
    assert (listed["task"], listed["query"], listed["total"]) == ("swing", query, 2)
    first = listed["recordings"][0]
    assert (first["name"], first["status"], first["robot"]) == ("a.csv", "accepted", "r7")
    assert first["max(velocity)"] == pytest.approx(4.5, abs=0.01)
    text = kinemill("data", "search", "swing", query)
    assert "recordings of swing, 2 of 2" in text
    assert "c.csv" not in text


def test_pages_and_columns_are_chosen(three, kinemill):
    listed = kinemill(
        "data", "search", "swing", "--columns", "name,found", "--limit", 1, "--offset", 2, "--json"
    )
    assert listed["total"] == 3
    assert listed["recordings"] == [{"name": "c.csv", "found": ["limits", "rate"]}]


def test_all_matches_are_written_to_a_file(three, kinemill, tmp_path):
    for suffix, read in ((".csv", pl.read_csv), (".parquet", pl.read_parquet)):
        to = tmp_path / f"matches{suffix}"
        listed = kinemill("data", "search", "swing", "--to", to, "--limit", 1, "--json")
        assert (listed["total"], listed["file"]) == (3, str(to))
        assert read(to)["name"].to_list() == ["a.csv", "b.csv", "c.csv"]
    with pytest.raises(BadInput, match=r"expected \.csv or \.parquet"):
        kinemill("data", "search", "swing", "--to", tmp_path / "matches.txt")
    with pytest.raises(BadInput, match="create the folder"):
        kinemill("data", "search", "swing", "--to", tmp_path / "none" / "matches.csv")


@pytest.mark.ci
@pytest.mark.parametrize("form", ["parquet", "csv", "hdf5"])
def test_the_episodes_of_a_search_are_exported(
    three, swing, home, evaluated, kinemill, tmp_path, form
):
    dataset_stage.run(swing(), home, evaluated(swing(), tmp_path / "swing-logs").ref)
    out = tmp_path / "out"
    options = ("--export", out, "--format", form)
    made = kinemill("data", "search", "swing", "robot = 'r7'", *options, "--json")
    assert made["episodes"] == {"train": 1, "validation": 1, "test": 1}  # a.csv, its end, b.csv
    assert 1150 < made["rows"] <= 1200
    again = load_task(out / "swing.yaml")
    report = ingest.run(again, Home(tmp_path / "other"), out)
    assert report.artifact.summary["tracks"] == 3
    assert report.artifact.summary["rows"] == made["rows"]
    with pytest.raises(BadInput, match="exists already"):
        kinemill("data", "search", "swing", "robot = 'r7'", *options)
    with pytest.raises(BadInput, match="no episode of the 0 recordings"):
        km.export_recordings("swing", "robot = 'r9'", tmp_path / "none", form)


def test_unknown_name_is_error_with_nearest_name(three, kinemill):
    with pytest.raises(QueryError, match=r"query: no recording has .* did you mean 'robot'"):
        kinemill("data", "search", "swing", "robt = 'r7'")


def test_python_returns_the_same_rows(three, kinemill):
    frame = km.search_recordings("swing", "max(velocity) > 80", ["name", "max(velocity)"])
    assert frame.rows() == [("c.csv", 88.0)]
    assert km.search_recordings("swing", limit=2).height == 2
