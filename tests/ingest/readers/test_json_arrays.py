"""Reading JSON documents: arrays by name, groups, episodes, tables, and files that are no logs."""

import json

import numpy as np
import pytest

from kinemill.ingest import stage as ingest
from kinemill.ingest.files import recognize, scan
from kinemill.ingest.metadata import read_attributes
from kinemill.ingest.readers.json_arrays import DEEPEST, read
from tests.ingest.conftest import refusals

ROWS = 40
COLUMNS = {
    "time": (np.arange(ROWS) * 0.01).round(2).tolist(),
    "position": list(range(ROWS)),
    "velocity": [9 - k for k in range(ROWS)],
    "torque": [k % 2 == 0 for k in range(ROWS)],
}
TABLE = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]


@pytest.fixture
def write(logs):
    def to_file(content, name="a.json", **options):
        text = content if isinstance(content, str) else json.dumps(content, **options)
        (logs / name).write_text(text)
        return logs / name

    return to_file


@pytest.mark.parametrize("indent", [None, 1])
def test_named_arrays_are_channels(write, task, home, logs, indent):
    path = write({"robot": "r2", **COLUMNS}, indent=indent)
    log = read(path, task)
    assert log.frame.rows()[:2] == [(0.0, 0.0, 9.0, 1.0), (0.01, 1.0, 8.0, 0.0)]
    assert recognize(task, path) == "json_arrays"
    assert ingest.run(task, home, logs).artifact.summary["rows"] == ROWS
    assert read_attributes(task, path) == {"@robot": "r2"}


def test_objects_with_arrays_in_a_list_are_episodes(write, task):
    second = {name: values[:7] for name, values in COLUMNS.items()}
    path = write({"config": {"hz": 10**400}, "data": [COLUMNS, second]})
    expected = [("data(0)", ROWS), ("data(1)", 7)]
    assert [(log.part, log.frame.height) for log in read(path, task)] == expected
    assert recognize(task, path) == "json_arrays"


def test_an_episode_that_cannot_be_read_does_not_affect_the_others(write, task):
    short = COLUMNS | {"position": [1, 2, 3]}
    first, second = read(write({"data": [short, COLUMNS]}), task)
    assert "different" in first.reasons[0]["found"]
    assert second.frame.height == ROWS


def test_a_list_of_objects_of_numbers_is_a_table(write, make_task):
    names = {"angle": "position", "velocity": "velocity", "torque": "torque"}
    task = make_task(
        ingest__time="steps/time",
        **{f"channels__{n}__source": f"steps/{s}" for n, s in names.items()},
    )
    table = [*TABLE[:3], {k: v for k, v in TABLE[3].items() if k != "torque"}, *TABLE[4:]]
    path = write({"robot": "r2", "steps": table})
    assert recognize(task, path) == "json_arrays"
    rows = read(path, task).frame.rows()
    assert rows[2] == (0.02, 2.0, 7.0, 1.0)
    assert np.isnan(rows[3][3])


def test_a_date_that_is_none_is_a_row_without_timestamp(write, make_task, home, logs):
    dates = [f"2026-05-01T12:00:00.{k:02d}" for k in range(ROWS)]
    dates[5] = "2026-13-41T12:00:00.05"
    write(COLUMNS | {"time": dates})
    report = ingest.run(make_task(ingest__time_unit="ns"), home, logs)
    assert report.artifact.summary["dropped_rows"] == 1
    (entry,) = report.files
    assert [(item["check"], item["where"]) for item in entry["reasons"]] == [("time", "row 6")]


def test_rows_of_vectors_and_a_rate_next_to_them(write, make_task):
    task = make_task(("arm/q[1]", "arm/qd[0]", "arm/command/tau"))
    arm = {
        "q": [[0.0, float(k)] for k in range(3)],
        "qd": [[1, 2], None, [3, 4]],
        "command": {"tau": [0, 1, 2]},
    }
    log = read(write({"fs": 50, "arm": arm}), task)
    assert log.ticks == 50.0
    rows = log.frame.rows()
    assert rows[2] == (2, 2.0, 3.0, 2.0)
    assert np.isnan(rows[1][2])


def test_texts_of_an_episode_and_of_its_rows(write, make_task, home, logs):
    task = make_task(
        channels__instruction={"role": "text"},
        channels__phase={"role": "text"},
        learn={"type": "imitation", "model": {"type": "mlp"}},
    )
    write(COLUMNS | {"instruction": "lift the cup", "phase": ["up"] * 30 + ["down"] * 10})
    log = read(logs / "a.json", task)
    assert set(log.media) == {"instruction", "phase"}
    assert log.media["phase"].texts == ["up", "down"]
    assert ingest.run(task, home, logs).artifact.summary["rows"] == ROWS


@pytest.mark.parametrize(
    ("content", "check", "problem"),
    [
        ([1, 2], "format", "JSON that is an array without objects"),
        ("3", "format", "JSON that is a single value"),
        ('{"time": [1, 2', "format", "is not a complete JSON file"),
        (COLUMNS | {"position": [1, "x"]}, "number", "holds numbers and texts"),
        (COLUMNS | {"position": [[1], [1, 2]]}, "number", "holds rows of different lengths"),
        (COLUMNS | {"position": [10**400] * ROWS}, "number", "beyond the range"),
        (COLUMNS | {"position": 3}, "columns", "position"),
    ],
)
def test_other_content_is_refused_with_what_was_found(write, task, content, check, problem):
    found = refusals(read, write(content), task)
    assert found[0]["check"] == check
    assert problem in str(found[0])


def test_objects_nested_too_deep_are_refused(write, task):
    content: dict = {"position": [1]}
    for _ in range(DEEPEST + 1):
        content = {"a": content}
    assert "objects inside each other" in refusals(read, write(content), task)[0]["found"]
    deep = '{"a":' * 100_000 + "1" + "}" * 100_000
    assert "RecursionError" in refusals(read, write(deep), task)[0]["found"]
    for depth in (10, 800, 990):
        lists = f'{{"position":{"[" * depth}1{"]" * depth}}}'
        assert refusals(read, write(lists), task)


def test_a_group_inside_an_episode_is_part_of_it(write, make_task):
    task = make_task(("arm/q", "arm/qd", "tau"))
    arm = {"q": [1, 2, 3], "qd": [0, 0, 0]}
    runs = {f"episode_{k}": {"fs": 10, "arm": arm, "tau": [k, k, k]} for k in (10, 2)}
    logs = read(write(runs | {"arm": arm, "episode": 3}), task)
    assert [log.part for log in logs] == ["episode_2", "episode_10"]
    assert [log.frame["torque"][0] for log in logs] == [2.0, 10.0]
    assert {log.ticks for log in logs} == {10.0}


def test_settings_and_files_next_to_a_table_are_no_logs(write, task, logs):
    joints = [{"name": "hip", "lower": -1}, {"name": "knee", "lower": -2}]
    write({"gains": [0.1, 0.2], "limits": [[-1, 1], [-2, 2]], "joints": joints}, "config.json")
    write(COLUMNS, "described.json")
    write("time,position\n0,1\n", "described.csv")
    write(COLUMNS, "log.json")
    found = [log.name for log in scan(task, logs).logs]
    assert sorted(found) == ["described.csv", "log.json"]
