"""Block statistics compared with NumPy, and the prefilter of the search for rest."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kinemill.validate.block_stats import (
    extremes,
    is_finite,
    largest_step,
    may_rest,
    mean_and_deviation,
    resolution,
)
from kinemill.validate.faults import BLOCK, Track, runs


@given(st.integers(1, 3 * BLOCK), st.integers(0, 2**32 - 1))
def test_looks_are_those_of_the_whole_channel(rows, seed):
    values = np.random.default_rng(seed).normal(3.0, 2.0, rows)
    track = Track({"x": values})
    assert extremes(track, "x") == (values.min(), values.max())
    assert largest_step(track, "x") == (np.abs(np.diff(values)).max() if rows > 1 else 0.0)
    expected = (values.mean(), values.std())
    np.testing.assert_allclose(mean_and_deviation(track, "x"), expected, rtol=1e-9, atol=1e-12)
    assert is_finite(track, "x")


def test_what_is_not_finite_is_not_whole():
    for bad in (np.nan, np.inf, -np.inf):
        values = np.zeros(BLOCK + 5)
        values[BLOCK + 2] = bad
        assert not is_finite(Track({"x": values}), "x")


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
