"""Online conformal prediction: coverage whatever the deviations state, and from the past alone."""

import numpy as np
import pytest

from kinemill.runtime.interval_tracker import RATE, IntervalTracker
from kinemill.verify.calibration import calibration_of, online_factors

W, T = 6000, 3
STARTS = np.arange(W)


def coverage(errors, deviation):
    factors = online_factors(errors, deviation, STARTS)
    result = calibration_of(["angle", "velocity"], errors, factors * deviation)
    return np.transpose([*result.coverage["0.9"].values()])


@pytest.mark.parametrize("stated", [0.1, 1.0, 10.0])
def test_deviations_of_any_size_cover_90_percent(stated):
    errors = np.random.default_rng(0).normal(size=(W, T, 2)) * [[1.0, 5.0]]
    deviation = np.broadcast_to([[stated, 5.0 * stated]], errors.shape)
    # Half of the bound: log q goes from 0 to ±2.3 and back to ±0.8, over 0.05 times 6000 rows.
    assert coverage(errors, deviation) == pytest.approx(np.full((T, 2), 0.9), abs=0.01)


def test_errors_that_grow_stay_covered():
    """The errors double every 1500 rows; no fixed factor fits."""
    growth = 2.0 ** (np.arange(W) / 1500)[:, None, None]
    errors = np.random.default_rng(1).normal(size=(W, T, 2)) * growth
    assert coverage(errors, np.ones_like(errors)) == pytest.approx(np.full((T, 2), 0.9), abs=0.015)


def test_a_factor_follows_from_outcomes_that_are_known_by_then():
    random = np.random.default_rng(2)
    errors, deviation = random.normal(size=(200, T, 2)), np.ones((200, T, 2))
    factors = online_factors(errors, deviation, np.arange(200))
    errors[120:] = 1e6
    changed = online_factors(errors, deviation, np.arange(200))
    steps = np.arange(T)
    # The outcome of window 120 after h steps is known at window 120 + h.
    np.testing.assert_array_equal(factors[120 + steps, steps], changed[120 + steps, steps])
    assert (changed[130] > factors[130]).all()
    assert (factors[0] == 1.0).all()


def test_outcomes_after_a_gap_are_not_those_of_predictions_before():
    errors, deviation = np.full((20, T, 2), 1e9), np.ones((20, T, 2))
    starts = np.r_[np.arange(10), np.arange(50, 60)]
    log = np.log(online_factors(errors, deviation, starts)) / (0.9 * RATE)
    # One miss for each window before, as soon as its outcome is known within its part.
    expected = np.clip(np.arange(10)[:, None] - np.arange(T), 0, None)
    np.testing.assert_allclose(log[:10, :, 0], expected, atol=1e-9)
    np.testing.assert_allclose(log[10:, :, 1], expected + expected[-1], atol=1e-9)


def test_steps_after_the_last_have_the_factor_of_the_last_and_nan_is_outside():
    tracker = IntervalTracker(2, 1)
    tracker.update(np.empty((0, 0)), np.empty((0, 0)))
    tracker.update(np.array([[0.0]]), np.ones((1, 1)))
    tracker.update(np.array([[0.0], [np.nan]]), np.ones((2, 1)))
    expected = np.exp([[-0.2 * RATE], [0.9 * RATE], [0.9 * RATE]])
    np.testing.assert_allclose(tracker.factor(3), expected)
