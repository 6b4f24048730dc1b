"""The table of episodes, what polars asks of it, and then Great Expectations."""

import math
import os
import socket

import numpy as np
import polars as pl
import pytest

from kinemill.validate import expectations, table
from kinemill.validate.check_results import planned_checks, sound_rows
from tests.validate.conftest import summarize


def episodes(swing, count=3, rows=50):
    return pl.concat(
        pl.DataFrame(swing(rows, phase=index)).with_columns(episode=pl.lit(f"e{index}"))
        for index in range(count)
    )


@pytest.fixture
def rows(pendulum, swing):
    return summarize(episodes(swing), pendulum())


def by_name(results):
    return {result.name: result for result in results}


def test_the_table_holds_the_numbers_of_each_episode(pendulum):
    frame = pl.DataFrame(
        {
            "episode": ["b", "b", "b", "a"],
            "angle": [3.0, -3.0, -2.9, 0.0],
            "velocity": [1.0, -1.0, 3.0, 2.0],
            "torque": [0.0, math.nan, 0.0, 0.0],
        }
    )
    rows = summarize(frame, pendulum())
    assert rows["episode"].to_list() == ["b", "a"]
    assert rows["rows"].to_list() == [3.0, 1.0]
    assert rows["duration_s"].to_list() == pytest.approx([0.03, 0.01])
    assert rows["angle:max_jump"].to_list() == pytest.approx([2 * math.pi - 6.0, 0.0])
    assert rows["velocity:max_jump"].to_list() == [4.0, 0.0]
    assert rows["velocity:mean"].to_list() == [1.0, 2.0]
    assert rows["velocity:std"].to_list() == pytest.approx([math.sqrt(8 / 3), 0.0])
    assert rows["torque:nonfinite"].to_list() == [1.0, 0.0]
    assert rows["nulls"].to_list() == [0.0, 0.0]
    assert set(rows.dtypes[1:]) == {pl.Float64}


def test_many_episodes_are_summarized_one_by_one_and_asked_about_at_once(pendulum, swing):
    task, count = pendulum(), 2000
    names = np.repeat([f"e{index}" for index in range(count)], 50)
    frame = pl.DataFrame({**swing(50 * count), "episode": names})
    rows = summarize(frame, task)
    assert rows.height == count
    assert all(result.passed for result in expectations.schema_checks(task, rows))


TABLE = pl.DataFrame({"episode": ["a", "b"], "x": [1.0, 2.0], "y": [0.0, 0.0]})
BOUNDS = [expectations.Bound("c", "x", 0.0, 2.0), expectations.Bound("c", "y", 0.0, 0.0)]


def test_values_on_their_bounds_hold():
    assert [result.passed for result in expectations.validate_table(TABLE, BOUNDS)] == [True] * 3


@pytest.mark.parametrize(
    ("rows", "broken"),
    [
        (TABLE.with_columns(x=pl.Series([1.0, math.inf])), ["x"]),
        (TABLE.with_columns(x=pl.Series([1.0, math.nextafter(2.0, 3.0)])), ["x"]),
        (TABLE.with_columns(y=pl.Series([0.0, -1e-300])), ["y"]),
        (pl.concat([TABLE, TABLE.head(1)]), ["episode"]),
        (TABLE.drop("x"), ["x"]),
    ],
    ids=["infinite", "over", "under", "twice", "missing"],
)
def test_what_breaks_a_bound_is_never_lost_in_the_question_about_all(rows, broken):
    results = expectations.validate_table(rows, BOUNDS)
    assert [result.bound.column for result in results if not result.passed] == broken


def test_sound_episodes_pass_every_question(pendulum, rows):
    task = pendulum()
    results = [*sound_rows(task, rows), *expectations.schema_checks(task, rows)]
    assert [result.name for result in results] == [
        "row_counts",
        "no_nulls",
        "finite_values",
        "schema_episodes",
        "schema_angle",
        "schema_velocity",
        "schema_torque",
    ]
    assert all(result.passed and result.blocking for result in results)


def test_a_column_of_nan_fails_before_great_expectations_which_passes_it(pendulum, rows):
    wild = rows.with_columns(pl.lit(math.nan).alias("angle:mean"))
    results = expectations.validate_table(
        wild, [expectations.Bound("schema_angle", "angle:mean", -1.0, 1.0)]
    )
    assert results[0].passed  # the trap
    finite = by_name(sound_rows(pendulum(), wild))["finite_values"]
    assert not finite.passed
    assert finite.values["failing"] == ["e0", "e1", "e2"]


def test_an_empty_table_fails_before_great_expectations_which_passes_it(pendulum):
    task = pendulum()
    nothing = table.empty(task)
    assert all(
        result.passed
        for result in expectations.validate_table(nothing, expectations.bounds_of(task))
    )
    results = sound_rows(task, nothing)
    assert not any(result.passed for result in results)
    assert results[0].values["error"] == "there is no episode to check"


def test_nulls_and_short_episodes_are_named(pendulum, rows):
    poor = rows.with_columns(
        pl.when(pl.col("episode") == "e1").then(2.0).otherwise("nulls").alias("nulls"),
        pl.when(pl.col("episode") == "e2").then(3.0).otherwise("rows").alias("rows"),
    )
    results = by_name(sound_rows(pendulum(), poor))
    assert results["no_nulls"].values["failing"] == ["e1"]
    assert results["row_counts"].values["failing"] == ["e2"]
    assert results["finite_values"].passed


@pytest.mark.parametrize("column", ["angle:min", "velocity:std"])
def test_a_missing_statistic_is_a_null(pendulum, rows, column):
    task, holed = pendulum(), rows.with_columns(pl.lit(None, dtype=pl.Float64).alias(column))
    assert not by_name(sound_rows(task, holed))["no_nulls"].passed


def test_failing_episodes_and_their_values_are_named(pendulum, rows):
    bad = rows.with_columns(
        pl.when(pl.col("episode") == "e1")
        .then(31.0)
        .otherwise("velocity:max")
        .alias("velocity:max")
    )
    results = by_name(expectations.schema_checks(pendulum(), bad))
    failed = results["schema_velocity"]
    assert not failed.passed
    assert failed.values["failing"] == [
        {"episode": "e1", "column": "velocity:max", "value": 31.0, "expected": "-20 to 20"}
    ]
    assert results["schema_torque"].passed


def test_infinity_does_not_pass_a_channel_without_limits(pendulum, rows):
    wild = rows.with_columns(pl.lit(math.inf).alias("angle:max"))
    assert not by_name(expectations.schema_checks(pendulum(), wild))["schema_angle"].passed


def test_a_hydraulic_pressure_in_pascal_needs_no_limits(pendulum, rows):
    levels = (pl.lit(3.5e7).alias(f"angle:{what}") for what in ("min", "max", "mean"))
    results = by_name(expectations.schema_checks(pendulum(), rows.with_columns(*levels)))
    assert results["schema_angle"].passed


def test_an_episode_named_twice_fails(pendulum, rows):
    double = pl.concat([rows, rows.head(1)])
    failed = by_name(expectations.schema_checks(pendulum(), double))["schema_episodes"]
    assert not failed.passed
    assert {item["episode"] for item in failed.values["failing"]} == {"e0"}


def test_an_expectation_that_raised_is_a_failure_with_its_own_message(pendulum, rows):
    results = by_name(expectations.schema_checks(pendulum(), rows.drop("torque:max")))
    failed = results["schema_torque"]
    assert not failed.passed
    assert "torque:max" in failed.values["error"]
    assert "does not exist" in failed.values["error"]
    assert results["schema_angle"].passed


def test_every_bound_is_two_sided_and_finite_and_every_column_has_one(pendulum):
    task = pendulum(max_jump={"angle": 0.3})
    bounds = expectations.bounds_of(task)
    assert all(math.isfinite(bound.low) and math.isfinite(bound.high) for bound in bounds)
    assert all(bound.low <= bound.high for bound in bounds)
    implied = (":mean", ":std", ":nonfinite")  # by min and max, or asked before
    columns = [name for name in table.columns_of(task) if not name.endswith(implied)]
    assert ["episode", *(bound.column for bound in bounds)] == columns
    assert {bound.check for bound in bounds} <= set(planned_checks(task))
    jump = next(bound for bound in bounds if bound.column == "angle:max_jump")
    assert jump.high == pytest.approx(0.3, abs=0.01)


def test_nobody_is_called_and_no_progress_bar_is_drawn(pendulum, rows, capsys, monkeypatch):
    called = []
    monkeypatch.setattr(socket.socket, "connect", lambda *address: called.append(address))
    expectations.schema_checks(pendulum(), rows)
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
    assert called == []
    assert capsys.readouterr() == ("", "")
