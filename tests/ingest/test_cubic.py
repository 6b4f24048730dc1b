"""Cubic resampling: truer than a line between few samples, and no further from what is missing."""

import numpy as np
import pytest

from kinemill.ingest.channels import cubic, linear

EXACT = 1e-8


def test_peaks_between_six_samples_a_period_are_kept():
    seconds, grid = np.arange(60) / 30, np.arange(119) / 60
    values = {"x": np.sin(2 * np.pi * 5 * seconds + 0.3)}
    expected = np.sin(2 * np.pi * 5 * grid + 0.3)
    inside = slice(12, -12)  # a spline knows less about the slope at its ends
    error = {
        method: np.abs(method(seconds, values, grid, EXACT)["x"] - expected)[inside].max()
        for method in (linear, cubic)
    }
    assert error[linear] == pytest.approx(1 - np.cos(np.pi / 6), rel=0.06)  # 13 %, near the peaks
    assert error[cubic] < 0.01


def test_stamps_keep_their_values_and_a_cubic_is_exact():
    seconds = np.array([0.0, 0.1, 0.15, 0.3, 0.42, 0.5])
    values = {"x": 1 - seconds + 2 * seconds**3}
    actual = cubic(seconds, values, seconds[1:] - 0.01, EXACT)["x"]
    between = seconds[1:] - 0.01
    np.testing.assert_allclose(actual, 1 - between + 2 * between**3, atol=1e-12)
    np.testing.assert_array_equal(cubic(seconds, values, seconds, EXACT)["x"], values["x"])


def test_what_is_lost_reaches_the_steps_beside_it_alone():
    seconds, grid = np.arange(10.0), np.arange(0.0, 9.01, 0.5)
    lost = {"x": np.where(seconds == 4, np.nan, seconds**2)}
    actual = cubic(seconds, lost, grid, EXACT)["x"]
    assert grid[np.isnan(actual)].tolist() == [3.5, 4.0, 4.5]
    np.testing.assert_allclose(
        actual[np.isfinite(actual)], grid[np.isfinite(actual)] ** 2, atol=1e-9
    )
    sparse = {"x": np.array([0.0, np.nan, 2.0, 3.0])}
    np.testing.assert_array_equal(cubic(np.arange(4.0), sparse, np.array([2.5]), EXACT)["x"], [2.5])
