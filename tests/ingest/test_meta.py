"""Metadata of recordings: from names, from side-cars, and kept when they are gone."""

import pytest

from kinemill.errors import TaskError
from kinemill.ingest import ingest
from kinemill.ingest.membership import members
from kinemill.ingest.meta import PROBLEM, metadata, read_sidecar


def test_the_groups_of_the_name_and_the_side_car_join_and_the_side_car_wins(make_task):
    task = make_task(ingest__meta__name=r"(?P<session>[^/]+)/(?P<robot>\w+)-\d+(?P<x>_\w+)?\.csv")
    found = metadata(task, "monday/r2-7.csv", {"robot": "r3", "operator": "kim"})
    assert found == {"session": "monday", "robot": "r3", "operator": "kim"}
    assert metadata(task, "elsewhere.csv", {}) == {}


@pytest.mark.parametrize("name", ["run.meta.yaml", "run.csv.meta.yml", "run.meta.json"])
def test_a_side_car_is_found_beside_its_log_and_read_as_text(task, logs, write, name):
    log = write("run.csv", "time\n")
    write(name, '{"session": 7, "robot": "a b", "gain": {"left": 1.5}, "note": null}')
    assert read_sidecar(task, log) == {
        "session": "7", "robot": "a b", "gain.left": "1.5", "note": ""
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("session: [1, 2]", "nested too deeply"),
        ("- a\n- b\n", "no keys with values"),
        ("a: &x {b: 1}\nc: *x\n", "uses aliases"),
        ("session: a\nsession: b\n", "session"),
        (b"\xff\xfe\x00", "cannot be read"),
        ("x" * 70_000, "70000 bytes"),
        ("a: {b", "run.meta.yaml"),
    ],
)
def test_a_broken_side_car_costs_no_recording_and_says_what_is_wrong(
    task, home, logs, write, swing, content, said
):
    write("run.csv", swing)
    write("run.meta.yaml", content)
    report = ingest(task, home, logs)
    assert [(file["file"], file["outcome"]) for file in report.files] == [("run.csv", "episodes")]
    (member,) = members(home, "pendulum").values()
    assert said in member.meta[PROBLEM]


def test_a_side_car_is_no_log_and_is_kept_when_both_files_are_gone(task, home, logs, write, swing):
    log, sidecar = write("run.csv", swing), write("run.meta.json", '{"session": "a"}')
    first = ingest(task, home, logs)
    assert [file["file"] for file in first.files] == ["run.csv"]
    log.unlink()
    sidecar.unlink()
    again = ingest(task, home, logs)
    (member,) = members(home, "pendulum").values()
    assert (member.name, member.meta) == ("run.csv", {"session": "a"})
    assert again.outcome.ref == first.outcome.ref


def test_a_side_car_may_come_later_and_what_it_said_once_stays(task, home, logs, write, swing):
    write("run.csv", swing)
    ref = ingest(task, home, logs).outcome.ref
    for content, kept in (
        ("a: [1]\na: 2", None), ("session: mon", "mon"), ("session: tue", "mon")
    ):  # fmt: skip
        write("run.meta.yaml", content)
        assert ingest(task, home, logs).outcome.ref == ref  # metadata is no part of a recording
        (member,) = members(home, "pendulum").values()
        assert member.meta.get("session") == kept


def test_another_pattern_reads_no_recording_again(make_task, home, logs, write, swing):
    write("mon/run.csv", swing)
    first = ingest(make_task(), home, logs)
    again = ingest(make_task(ingest__meta__name="(?P<session>[^/]+)/.*"), home, logs)
    assert again.outcome.ref == first.outcome.ref
    assert again.files[0]["outcome"] == "known"


@pytest.mark.parametrize(
    ("pattern", "said"), [("(?P<a", "no regular expression"), ("run", "no named group")]
)
def test_a_pattern_that_names_nothing_is_refused(make_task, pattern, said):
    with pytest.raises(TaskError, match=said):
        make_task(ingest__meta__name=pattern)
