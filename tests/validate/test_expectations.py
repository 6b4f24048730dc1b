"""The table of episodes, the checks of polars, and the suite of a task."""

import json
import math

import polars as pl
import pytest

from kinemill.errors import BadInput
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


def test_sound_rows_of_sound_episodes_pass(pendulum, rows):
    results = sound_rows(pendulum(), rows)
    assert [result.name for result in results] == ["row_counts", "no_nulls", "finite_values"]
    assert all(result.passed and result.blocking for result in results)


def test_a_column_of_nan_fails_before_great_expectations_which_passes_it(pendulum, rows):
    wild = rows.with_columns(pl.lit(math.nan).alias("angle:mean"))
    finite = by_name(sound_rows(pendulum(), wild))["finite_values"]
    assert not finite.passed
    assert finite.values["failing"] == ["e0", "e1", "e2"]


def test_an_empty_table_fails_before_great_expectations_which_passes_it(pendulum):
    results = sound_rows(pendulum(), table.empty(pendulum()))
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


LOW_ANGLE = {
    "type": "expect_column_values_to_be_between",
    "kwargs": {"column": "angle:max", "max_value": 1.0},
}


def write_suite(home, *added):
    path = expectations.suite_file(home, "pendulum")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"name": "pendulum", "expectations": [*added]}))
    return path


def test_suite_has_bounds_physical_checks_and_expectations_of_users(home, pendulum):
    task = pendulum(expectations=[{"type": "expect_column_values_to_be_unique", "column": "rows"}])
    write_suite(home, {**LOW_ANGLE, "meta": {}})
    suite = expectations.suite_of(task, home)
    checks = [item["kwargs"]["column"] for item in suite if item["type"] == "expect_no_findings"]
    assert checks == [name for name in planned_checks(task) if name.startswith("physics_")]
    added = [item for item in suite if item["meta"] != {"kinemill": "generated"}]
    assert [item["meta"] for item in added] == [{"kinemill": "task file"}, {}]
    assert added[1]["kwargs"] == LOW_ANGLE["kwargs"]


def test_suite_digest_changes_with_added_expectations_alone(home, pendulum):
    assert expectations.suite_digest(home, "pendulum") == ""
    write_suite(home, *expectations.suite_of(pendulum(), home))
    assert expectations.suite_digest(home, "pendulum") == ""
    write_suite(home, LOW_ANGLE)
    added = expectations.suite_digest(home, "pendulum")
    write_suite(home, {**LOW_ANGLE, "id": "a", "severity": "critical", "meta": {}})
    assert expectations.suite_digest(home, "pendulum") == added != ""


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({**LOW_ANGLE, "type": "expect_column_value_to_be_between"}, "did you mean 'expect_col"),
        ({**LOW_ANGLE, "kwargs": {"column": "angel:max", "max_value": 1}}, "'angle:max'"),
        (
            {**LOW_ANGLE, "kwargs": {"column": "rows", "maximum_value": 1}},
            "did you mean 'max_value'",
        ),
        ({"type": LOW_ANGLE["type"]}, "cannot be read"),
    ],
    ids=["type", "column", "argument", "no arguments"],
)
def test_wrong_expectation_in_the_suite_file_is_an_error_that_names_it(
    home, pendulum, item, message
):
    path = write_suite(home, item)
    with pytest.raises(BadInput, match=message) as raised:
        expectations.suite_of(pendulum(), home)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"expectations": [1]}'])
def test_damaged_suite_file_is_an_error_of_the_validation_alone(home, pendulum, text):
    path = write_suite(home)
    path.write_text(text)
    assert expectations.suite_digest(home, "pendulum") != ""
    with pytest.raises(BadInput, match="is not a suite of Great Expectations"):
        expectations.suite_of(pendulum(), home)
