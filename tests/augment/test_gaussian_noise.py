"""Gaussian noise: as much as asked for, where asked for."""

import numpy as np
import pytest
from pydantic import ValidationError

from kinemill.augment.gaussian_noise import GaussianNoise

EXAMPLE = {"type": "gaussian_noise", "std": {"speed": 0.02, "torque": 0.1}}


def test_noise_has_the_standard_deviation_asked_for_and_spares_other_channels(signals):
    values = np.ones((40_000, 6), np.float32)
    copy = GaussianNoise(std={"speed": 0.5}).vary(values, signals, np.random.default_rng(0))
    # The standard deviation of n normal numbers is known to 1 / sqrt(2 n) = 0.35 %; 4 of these.
    assert copy[:, 1].std() == pytest.approx(0.5, rel=0.014)
    assert copy[:, 1].mean() == pytest.approx(1.0, abs=4 * 0.5 / 200)
    np.testing.assert_array_equal(np.delete(copy, 1, axis=1), 1.0)


def test_noise_saturates_at_the_limits_of_the_channel(signals):
    values = np.full((1000, 6), 5.99, np.float32)
    copy = GaussianNoise(std={"torque": 0.5}).vary(values, signals, np.random.default_rng(0))
    assert copy[:, 4].max() == 6.0
    assert (copy[:, 4] == 6.0).mean() == pytest.approx(0.5, abs=0.07)


@pytest.mark.parametrize("std", [{}, {"speed": 0.0}, {"speed": -1.0}, {"speed": float("nan")}])
def test_noise_of_no_size_is_refused(std):
    with pytest.raises(ValidationError):
        GaussianNoise(std=std)
