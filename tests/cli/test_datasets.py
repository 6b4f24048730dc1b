"""`kinemill data datasets` and `kinemill model lineage`: documents and tables."""

import pytest

from kinemill.dataset import stage as dataset_stage
from kinemill.errors import BadInput


@pytest.fixture
def versions(swing, log, evaluated, home):
    """Two dataset versions: of sessions a, b, c, and of one log more in session a."""
    swing("format: csv}", 'format: csv, meta: {name: "(?P<session>[^/]+)/.*"}}')
    old = '{validation: {tail: 0.1}, test: ["*b.csv"]}'
    task = swing(old, "{group_by: session, validation: [b], test: [c]}")
    for number, name in enumerate(["a/1.csv", "b/1.csv", "c/1.csv", "a/2.csv"]):
        folder = log(name, 0.3 * number).parents[1]
        if number >= 2:
            dataset_stage.run(task, home, evaluated(task, folder).ref)


def test_versions_are_listed_and_shown(versions, kinemill):
    listed = kinemill("data", "datasets", "list", "swing", "--json", "--limit", "1")
    assert (listed["total"], [line["version"] for line in listed["datasets"]]) == (2, [2])
    displayed = kinemill("data", "datasets", "show", "swing", "2", "--json")
    assert {row["name"]: row["group"] for row in displayed["list"]["episodes"]}["a/2.csv"] == "a"
    assert displayed["digest"] == listed["datasets"][0]["digest"]


def test_people_get_tables(versions, kinemill):
    lines = kinemill("data", "datasets", "list", "swing").splitlines()
    assert lines[0].strip() == "datasets of swing, 2 of 2"
    assert [line.split()[0] for line in lines[4:6]] == ["2", "1"]
    assert lines[4].split()[-3:] == ["2", "1", "1"]
    assert "2 states, 1 action, dt 0.01 s" in kinemill("data", "datasets", "show", "swing")


def test_a_recording_tells_where_it_went(versions, kinemill):
    message = kinemill("model", "lineage", "swing", "--recording", "a/1.csv", "--json")
    (recording,) = message["recordings"]
    assert [use["version"] for use in recording["datasets"]] == [2, 1]
    assert [use["models"] for use in recording["datasets"]] == [[], []]
    by_hash = kinemill("model", "lineage", "swing", "--recording", recording["hash"][:12])
    assert "a/1.csv" in by_hash


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "datasets", "show", "swing", "9"], "expected 1 to 2"),
        (["model", "lineage", "swing"], "has no version yet"),
        (["model", "lineage", "swing", "--recording", "z.csv"], "is not a recording of task"),
    ],
)
def test_command_for_what_is_not_there_is_bad_input(versions, kinemill, arguments, message):
    with pytest.raises(BadInput, match=message):
        kinemill(*arguments)
