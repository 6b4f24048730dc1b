"""Statistics of a channel compared with NumPy, and the prefilter of the search for rest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemill.validate.channel_stats import (
    extremes,
    is_finite,
    largest_step,
    may_rest,
    mean_and_deviation,
    resolution,
)
from kinemill.validate.faults import Track, runs


def test_statistics_of_known_values_and_of_values_that_are_not_finite():
    track = Track({"x": np.array([3.0, -1.0, 2.0])})
    assert (extremes(track, "x"), largest_step(track, "x")) == ((-1.0, 3.0), 4.0)
    assert mean_and_deviation(track, "x") == pytest.approx((4 / 3, np.sqrt(26) / 3))
    assert is_finite(track, "x")
    assert largest_step({"x": np.array([5.0])}, "x") == 0.0
    assert np.isnan(largest_step({"x": np.array([5.0, np.nan, 0.0])}, "x"))
    for bad in (np.nan, np.inf, -np.inf):
        assert not is_finite({"x": np.array([0.0, bad])}, "x")


@given(st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0.0, 0.5))
def test_a_stretch_at_rest_is_never_overlooked(least, seed, tolerance):
    random = np.random.default_rng(seed)
    steps = random.choice([0.0, tolerance, -tolerance, 1.0, -2.0], 120, p=[0.4, 0.2, 0.2, 0.1, 0.1])
    values = np.cumsum(steps)
    rested = np.abs(np.diff(values)) <= tolerance * (1 + 1e-9)
    longest = max((stop - start + 1 for start, stop in runs(rested)), default=1)
    if longest >= least:
        assert may_rest(values, least, tolerance)


def test_what_moves_all_the_time_is_not_searched():
    assert not may_rest(np.arange(1000.0), 50, 1e-9)


def test_resolution_rounded_channel_is_its_step_and_zero_without_rounding():
    values = np.cumsum(np.random.default_rng(0).normal(0.0, 0.2, 500))
    assert resolution({"x": 0.5 * np.round(values)}, "x") == 0.5
    assert resolution({"x": values}, "x") == 0.0
