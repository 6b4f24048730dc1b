"""Quantization: steps of the size asked for, nothing further than half of one."""

import numpy as np
import pytest

from kinemill.augment.quantization import Quantization

EXAMPLE = {"type": "quantization", "step": {"angle": 0.003, "torque": 0.01}}


def test_values_lie_on_steps_and_at_most_half_a_step_away(signals):
    values = np.zeros((2000, 6), np.float32)
    values[:, 0] = np.linspace(-1, 1, 2000)
    copy = Quantization(step={"angle": 0.125}).vary(values, signals, np.random.default_rng(3))
    levels = np.unique(copy[:, 0])
    np.testing.assert_allclose(np.diff(levels), 0.125, atol=1e-6)
    error = copy[:, 0] - values[:, 0]
    assert np.abs(error).max() <= 0.0625 + 1e-6
    # Uniform in a step: standard deviation step / sqrt(12).
    assert error.std() == pytest.approx(0.125 / np.sqrt(12), rel=0.03)
    assert not copy[:, 1:].any()
