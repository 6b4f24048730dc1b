"""Great Expectations in the home: suite, checkpoint, stored results and Data Docs of a task."""

import json
import math
import os
import socket
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from kinemill.errors import BadInput
from kinemill.store.home import Home
from kinemill.validate import checkpoint, expectations
from kinemill.validate import stage as validate
from kinemill.validate.check_results import planned_checks
from kinemill.validate.checkpoint import data_docs, run_checkpoint
from kinemill.validate.expectations import suite_file
from kinemill.validate.stage import load_checks, load_episodes
from kinemill.validate.summary import read_quarantine
from tests.validate.conftest import as_frame, make_task, summarize

pytestmark = [pytest.mark.ci, pytest.mark.expectations]

SLOW = {"type": "expect_column_values_to_be_between", "column": "velocity:max", "max_value": 3.0}


def make_table(task, swing):
    frames = [
        pl.DataFrame(swing(50, phase=index)).with_columns(episode=pl.lit(f"e{index}"))
        for index in range(3)
    ]
    findings = {name: pl.lit(0.0) for name in planned_checks(task) if name.startswith("physics_")}
    return summarize(pl.concat(frames), task).with_columns(recording=pl.lit("log"), **findings)


@pytest.fixture(scope="module")
def module_home(tmp_path_factory):
    return Home(tmp_path_factory.mktemp("gx") / "home")


def value(column, number):
    at_e1 = pl.when(pl.col("episode") == "e1")
    return at_e1.then(number).otherwise(column).alias(column)


OUTSIDE = {
    "velocity:max": math.nextafter(20.0, 21.0),
    "angle:max": math.inf,
    "nulls": -1e-300,
    "physics_spike": 2.0,
}


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ([pl.lit(3.5e7).alias("angle:max"), value("velocity:max", 20.0)], {}),
        ([value(*change) for change in OUTSIDE.items()], {key: ["e1"] for key in OUTSIDE}),
        ([pl.lit("e0").alias("episode")], {"episode": ["e0"] * 3}),
    ],
    ids=["pressure in Pa and limit", "outside", "twice"],
)
def test_checkpoint_names_the_episodes_that_fail(module_home, swing, change, failing):
    table = make_table(make_task(), swing).with_columns(*change)
    failures = run_checkpoint(make_task(), module_home, table)
    columns = [failure.expectation["kwargs"]["column"] for failure in failures]
    episodes = [[row["episode"] for row in failure.rows] for failure in failures]
    assert dict(zip(columns, episodes, strict=True)) == failing


def test_checkpoint_keeps_the_last_results_and_edited_suites(home, swing, capsys, monkeypatch):
    calls = []
    monkeypatch.setattr(socket.socket, "connect", lambda *address: calls.append(address))
    task = make_task()
    table = make_table(task, swing).with_columns(value("physics_spike", 2.0))
    run_checkpoint(task, home, table)
    path = suite_file(home, task.name)
    first = path.read_text()
    suite = json.loads(first)
    kwargs = {"column": "rows", "max_value": 49}
    suite["expectations"].append({"type": SLOW["type"], "kwargs": kwargs, "meta": {}})
    suite["expectations"].pop(0)
    path.write_text(json.dumps(suite))
    failed = run_checkpoint(make_task(min_steps=30), home, table)
    assert sorted(len(each.rows) for each in failed) == [1, 3]
    columns = [
        expectation["kwargs"]["column"]
        for expectation in json.loads(path.read_text())["expectations"]
    ]
    assert [columns[0], columns[-1]] == ["rows", "rows"]
    monkeypatch.setattr("kinemill.validate.checkpoint.KEPT_RESULTS", 2)
    run_checkpoint(task, home, table)
    for folder in ("validations", "data_docs/local_site/validations"):
        files = (home.root / "gx" / "uncommitted" / folder / task.name).rglob("*.*ml")
        stored = (home.root / "gx" / "uncommitted" / folder / task.name).rglob("*.json")
        assert len({*files, *stored}) == 2
    assert calls == []
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
    assert capsys.readouterr() == ("", "")


def test_data_docs_show_the_suite_of_a_task_and_its_failing_check(home, record, swing):
    task = make_task(max_quarantined_share=1.0)
    bad = swing(300)
    bad["velocity"][100:110] = 40.0
    frames = {"good.csv": [as_frame(swing(300))], "bad.csv": [as_frame(bad)]}
    validate.run(task, home, record(task, frames))
    index = data_docs(home)
    assert f"expectations/{task.name}.html" in index.read_text()
    (page,) = index.parent.glob(f"validations/{task.name}/*/*/*.html")
    text = page.read_text()
    assert page.relative_to(index.parent).as_posix() in index.read_text()
    assert "physics_limits" in text
    assert "bad.csv" in text
    assert "good.csv" not in text


@pytest.mark.parametrize("origin", ["task file", "suite file"])
def test_episodes_that_fail_an_expectation_of_a_user_are_quarantined(home, record, swing, origin):
    frames = {"fast.csv": [as_frame(swing(300))]}
    slow = swing(300, phase=0.05)
    slow |= {name: 0.1 * slow[name] for name in ("angle", "velocity")}
    frames["slow.csv"] = [as_frame(slow)]
    ref = record(make_task(), frames)
    sound = validate.run(make_task(), home, ref)
    assert sound.summary["accepted"] == 2
    task = make_task(expectations=[SLOW] if origin == "task file" else [])
    if origin == "suite file":
        path = suite_file(home, task.name)
        suite = json.loads(path.read_text())
        kwargs = {key: item for key, item in SLOW.items() if key != "type"}
        suite["expectations"].append({"type": SLOW["type"], "kwargs": kwargs})
        path.write_text(json.dumps(suite))
    artifact = validate.run(task, home, ref)
    (lost,) = read_quarantine(home.root / artifact.ref.path)
    assert (lost.name, lost.reasons[0]["check"]) == ("fast.csv", SLOW["type"])
    assert "max_value=3.0" in lost.reasons[0]["expected"]
    assert origin in lost.reasons[0]["fix"]
    assert [episode.name for episode in load_episodes(home, artifact.ref)] == ["slow.csv"]
    assert artifact.summary["dropped"] == {SLOW["type"]: 300}
    assert all(check.passed for check in load_checks(home, artifact.ref) if check.blocking)
    assert validate.run(task, home, ref).cached


def test_warning_of_a_user_keeps_the_episodes(home, record, swing):
    task = make_task(expectations=[{**SLOW, "severity": "warning"}])
    artifact = validate.run(task, home, record(task, {"fast.csv": [as_frame(swing(300))]}))
    assert artifact.summary["accepted"] == 1


def test_damaged_files_of_a_task_stop_that_task_alone(home, record, swing):
    task = make_task()
    frames = {"a.csv": [as_frame(swing(300))]}
    ref = record(task, frames)
    suite_file(home, task.name).parent.mkdir(parents=True)
    suite_file(home, task.name).write_text("{")
    with pytest.raises(BadInput, match=r"pendulum\.json: is not a suite"):
        validate.run(task, home, ref)
    other_task = task.model_copy(update={"name": "other"})
    assert validate.run(other_task, home, record(other_task, frames)).summary["accepted"] == 1
    suite_file(home, task.name).unlink()
    assert validate.run(task, home, ref).summary["accepted"] == 1
    (home.root / "gx" / "checkpoints" / f"{task.name}.json").write_text("{")
    with pytest.raises(BadInput, match="cannot validate pendulum"):
        run_checkpoint(task, home, make_table(task, swing))


def test_failures_are_stored_with_their_recording_and_add_up(
    home, pendulum, record, swing, monkeypatch
):
    """Great Expectations disagrees with the bounds that episodes are cut by: nothing else can."""
    task, real = pendulum(), expectations.bounds_of

    def stricter(task):
        return [
            replace(one, high=3.0) if one.column == "velocity:max" else one for one in real(task)
        ]

    frames = {f"{k}.csv": [as_frame(swing(300, phase=0.3 * k))] for k in range(4)}
    slow = swing(300, phase=0.05)
    frames["slow.csv"] = [as_frame({**slow, **{n: 0.1 * slow[n] for n in ("angle", "velocity")}})]
    monkeypatch.setattr(expectations, "bounds_of", stricter)
    monkeypatch.setattr(checkpoint, "bounds_of", stricter)
    first = validate.run(task, home, record(task, frames))
    check = {one.name: one for one in load_checks(home, first.ref)}["schema_velocity"]
    assert (check.passed, check.blocking) == (False, True)
    assert (check.values["episodes"], check.values["failed"]) == (5, 4)
    assert {item["column"] for item in check.values["failing"]} == {"velocity:max"}
    assert np.isclose(max(item["value"] for item in check.values["failing"]), 4.5, atol=0.01)
    fewer = {name: frames[name] for name in ("1.csv", "slow.csv")}
    second = validate.run(task, home, record(task, fewer))
    check = {one.name: one for one in load_checks(home, second.ref)}["schema_velocity"]
    assert (check.values["episodes"], check.values["failed"]) == (2, 1)
