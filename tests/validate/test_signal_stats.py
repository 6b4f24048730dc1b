"""Statistics of a channel: known values, values that are not finite, resolution."""

import numpy as np
import pytest

from kinemill.validate.faults import Track
from kinemill.validate.signal_stats import (
    extremes,
    is_finite,
    largest_step,
    mean_and_deviation,
    resolution,
)


def test_statistics_of_known_values_and_of_values_that_are_not_finite():
    track = Track({"x": np.array([3.0, -1.0, 2.0])})
    assert (extremes(track, "x"), largest_step(track, "x")) == ((-1.0, 3.0), 4.0)
    assert mean_and_deviation(track, "x") == pytest.approx((4 / 3, np.sqrt(26) / 3))
    assert is_finite(track, "x")
    assert largest_step({"x": np.array([5.0])}, "x") == 0.0
    assert np.isnan(largest_step({"x": np.array([5.0, np.nan, 0.0])}, "x"))
    for bad in (np.nan, np.inf, -np.inf):
        assert not is_finite({"x": np.array([0.0, bad])}, "x")


def test_resolution_rounded_channel_is_its_step_and_zero_without_rounding():
    values = np.cumsum(np.random.default_rng(0).normal(0.0, 0.2, 500))
    assert resolution({"x": 0.5 * np.round(values)}, "x") == 0.5
    assert resolution({"x": values}, "x") == 0.0
