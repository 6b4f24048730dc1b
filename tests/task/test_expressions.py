"""Formulas of a task file: arithmetic, and nothing that could be executed."""

import math

import numpy as np
import pytest

from kinemill.task.expressions import Expression


def test_a_formula_is_worked_out_as_python_would():
    values = {"a": 0.3, "b": -2.0}
    actual = Expression("-0.6 * cos(a) + b**2 / (1 - a) - abs(b)").value(values)
    assert actual == pytest.approx(-0.6 * math.cos(0.3) + 4.0 / 0.7 - 2.0, abs=1e-15)


def test_arrays_go_through_element_by_element():
    actual = Expression("sin(a) + pi").value({"a": np.array([[0.0, math.pi / 2]])})
    np.testing.assert_allclose(actual, [[math.pi, math.pi + 1]], atol=1e-15)


def test_the_smaller_and_the_larger_of_two_values():
    actual = Expression("min(a, 1) + 10 * max(a, 0)").value({"a": np.array([-1.0, 0.5, 2.0])})
    np.testing.assert_array_equal(actual, [-1.0, 5.5, 21.0])


def test_names_are_what_has_to_be_known():
    assert Expression("sin(a) * 2 + pi * tip").names == {"a", "tip"}


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')", "a.b", "a[0]", "lambda: 1", "open(a)", "a if b else c", "'text'",
        "True", "1j", "a == b", "sin(a, b)", "sin(x=a)", "min(a)", "a; b", "",
        "a.__class__()", "(a := 1)",
    ],
)  # fmt: skip
def test_what_is_no_arithmetic_is_refused(text):
    with pytest.raises(ValueError, match=r"is no|neither|takes (one|two)"):
        _ = Expression(text).names


def test_what_would_exhaust_the_parser_is_refused():
    with pytest.raises(ValueError, match="at most 500"):
        _ = Expression("(" * 400 + "a" + ")" * 400).names
    with pytest.raises(ValueError, match="is not a formula"):
        _ = Expression("(" * 240 + "a" + ")" * 240).names
