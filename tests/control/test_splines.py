"""Splines against scipy and values computed by hand."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from kinemill.control.splines import SPLINES, matrices


def test_a_cubic_is_the_natural_spline():
    knots = np.array([0.3, -1.0, 0.7, 0.9, -0.2, 0.0])
    times = np.linspace(0, 5, 41)
    expected = CubicSpline(np.arange(6), knots, bc_type="natural")(times)
    np.testing.assert_allclose(SPLINES["cubic"](times, 6) @ knots, expected, atol=1e-12)


def test_a_line_and_a_stair_by_hand():
    knots, times = np.array([0.0, 1.0, 3.0]), np.array([0.0, 0.5, 0.999, 1.0, 1.75, 2.0, 9.0])
    np.testing.assert_allclose(
        SPLINES["linear"](times, 3) @ knots, [0, 0.5, 0.999, 1, 2.5, 3, 3], atol=1e-12
    )
    np.testing.assert_array_equal(SPLINES["zero"](times, 3) @ knots, [0, 0, 0, 1, 1, 3, 3])


@pytest.mark.parametrize("spline", SPLINES)
def test_a_knot_a_step_is_the_action_itself_and_shifting_moves_it_by_one(spline):
    at_steps, shift = matrices(spline, 5, 5)
    np.testing.assert_allclose(at_steps, np.eye(5), atol=1e-12)
    np.testing.assert_allclose(shift @ np.arange(5.0), [1, 2, 3, 4, 4], atol=1e-12)


@pytest.mark.parametrize("spline", SPLINES)
@pytest.mark.parametrize("knots", [1, 2, 3, 7])
def test_a_constant_stays_a_constant(spline, knots):
    for matrix in matrices(spline, knots, 25):
        np.testing.assert_allclose(matrix.sum(axis=1), 1.0, atol=1e-12)


def test_a_shifted_line_is_the_same_line_one_step_later():
    at_steps, shift = matrices("linear", 4, 31)  # 10 steps between knots
    slope = np.array([0.0, 10.0, 20.0, 30.0])
    np.testing.assert_allclose((at_steps @ slope)[:30], np.arange(30.0), atol=1e-9)
    np.testing.assert_allclose((at_steps @ shift @ slope)[:20], np.arange(1.0, 21.0), atol=1e-9)
