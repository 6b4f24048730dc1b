"""Expectations of Great Expectations in a task file, checked when it loads."""

import pytest

from kinemill.task.expectation import Expectation

CHANNELS = {"angle": None}
BETWEEN = {"type": "expect_column_values_to_be_between", "column": "rows", "min_value": 3}


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        ({"type": "expect_column_value_to_be_between"}, "type", "did you mean 'expect_column_val"),
        ({"type": "expect_column_mean_to_be_between"}, "type", "one about each episode"),
        ({"column": "row"}, "column", "unknown column 'row'; did you mean 'rows'"),
        ({"minimum_value": 3}, "minimum_value", "did you mean 'min_value'"),
        ({"min_value": "abc"}, "min_value", "found 'abc'; expected number"),
        ({"severity": "bad"}, "severity", "found 'bad'"),
        ({"mostly": 0.5}, "mostly", "unknown argument"),
    ],
)
def test_wrong_expectation_names_key_and_fix(change, key, message):
    ((where, what),) = Expectation(**{**BETWEEN, **change}).problems(CHANNELS)
    assert where == (key,)
    assert message in what


def test_missing_arguments_are_named():
    problems = Expectation(type=BETWEEN["type"]).problems(CHANNELS)
    assert [where for where, _ in problems] == [("column",), ("min_value",)]


def test_expectation_of_two_columns_is_valid():
    type_ = "expect_column_pair_values_a_to_be_greater_than_b"
    assert Expectation(type=type_, column_A="angle:max", column_B="rows").problems(CHANNELS) == []
