import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from kinemill.control.plan import SPLINES, Plan, matrices, normal


def test_numbers_drawn_in_pairs_are_normal_and_independent():
    drawn = normal(np.random.default_rng(0), (1001, 333)).astype(float)
    assert np.isfinite(drawn).all()
    # Moments of N(0, 1); four standard errors of each over 333,333 numbers.
    for power, moment, error in ((1, 0.0, 1.0), (2, 1.0, 1.41), (3, 0.0, 3.87), (4, 3.0, 9.8)):
        assert np.mean(drawn**power) == pytest.approx(moment, abs=4 * error / np.sqrt(drawn.size))
    # Within 1.96 deviations lie 95 %; the two of a pair tell nothing of each other.
    assert np.mean(np.abs(drawn) < 1.959964) == pytest.approx(0.95, abs=2e-3)
    left, right = np.split(drawn.ravel()[:-1], 2)
    assert abs(np.mean(left * right)) < 0.01
    assert abs(np.mean((left**2 - 1.0) * (right**2 - 1.0))) < 0.02


def test_the_first_of_the_drawn_plans_is_the_plan_itself():
    plan = Plan(np.linspace(-0.5, 0.5, 6).reshape(3, 2))
    drawn = plan.around(5, 0.3, np.random.default_rng(0), min_noise_scale=0.2)
    assert drawn.shape == (5, 3, 2)
    np.testing.assert_allclose(drawn[0], plan.knots, atol=1e-7)
    assert (np.abs(drawn[1:] - plan.knots) > 1e-4).all()


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
