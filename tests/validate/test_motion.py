"""The way of a velocity to some rows, against the path to every row."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kinemill.validate.faults import Track
from kinemill.validate.motion import integrate_velocity

DT = 0.01


def path_to_every_row(velocity):
    ways = 0.5 * DT * (velocity[1:] + velocity[:-1])
    return np.concatenate(([0.0], np.cumsum(ways)))


@given(st.integers(2, 3000), st.integers(1, 40), st.integers(0, 50), st.integers(0, 2**32 - 1))
def test_the_way_to_some_rows_is_that_of_the_path(rows, apart, first, seed):
    velocity = np.random.default_rng(seed).normal(1.0, 3.0, rows)
    requests = np.arange(rows)[first::apart]
    result = integrate_velocity({"v": velocity}, "v", requests, DT)
    np.testing.assert_allclose(result, path_to_every_row(velocity)[requests], rtol=0, atol=1e-9)


def test_what_is_not_known_goes_nowhere():
    velocity = np.ones(100)
    velocity[40:60] = np.nan
    requests = np.arange(0, 100, 9)
    result = integrate_velocity(Track({"v": velocity}), "v", requests, DT)
    history = path_to_every_row(np.nan_to_num(velocity))[requests]
    np.testing.assert_allclose(result, history, rtol=0, atol=1e-12)
