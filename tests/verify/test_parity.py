"""Comparisons of exported files with the trained step, on evaluations that are made up here."""

from types import SimpleNamespace

import numpy as np
import pytest

from kinemill.export.rounding import Evaluations
from kinemill.verify.parity import Pair, Reference, compare_rollout
from kinemill.verify.test_inputs import window_probe

EXACT = np.array([1.0, 2.0, 4.0, 8.0, 16.0])


def pair_with(rollout=EXACT):
    """Return a pair whose simulator of a single state returns this rollout."""
    simulator = SimpleNamespace(
        interface=SimpleNamespace(dtype="float32", states=("x",)),
        rollout=lambda *_: np.asarray(rollout).reshape(1, -1, 1),
    )
    return Pair(simulator, None, np.array([1.0]), np.array([False]))


def compared(rollout, rounded):
    """Compare a rollout with EXACT and with another rounding of it."""
    probe = window_probe("made up", *(np.zeros((1, rows, 1)) for rows in (1, 0, len(EXACT))))
    exact, other = (np.reshape(values, (1, -1, 1)) for values in (EXACT, rounded))
    evaluations = Evaluations((exact,), [(other,)])
    return compare_rollout(pair_with(rollout), Reference(probe, (), evaluations, evaluations))


def test_floor_far_from_zero_is_the_last_bit_of_float32():
    """Near 101325 Pa, float32 has steps of 1/128 Pa, more than 1e-5 of a deviation of 10 Pa."""
    pair = Pair(pair_with().simulator, None, np.array([10.0, 2.0]), np.array([False, False]))
    result = pair.floor(np.array([[101325.0, -3.0]]))
    np.testing.assert_allclose(result, [[1 / 128, 2e-5]])


@pytest.mark.parametrize("end", [np.nan, np.inf, 1e9])
def test_rollout_that_rounding_alone_makes_diverge_is_compared_until_then(end):
    result = compared([*EXACT[:3], np.nan, np.nan], [*EXACT[:3] + 1e-6, end, end])
    assert result.passed
    assert result.finite


def test_rollout_that_differs_by_more_than_rounding_fails():
    assert not compared(np.append(EXACT[0], EXACT[1:] + 0.1), EXACT + 1e-6).passed


def test_rollout_that_diverges_although_no_rounding_does_fails():
    result = compared([*EXACT[:3], np.nan, np.nan], EXACT + 1e-6)
    assert not result.passed
    assert not result.finite
