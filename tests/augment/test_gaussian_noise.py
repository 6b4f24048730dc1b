"""Gaussian noise: as much as asked for, where asked for."""

import numpy as np
import pytest
from pydantic import ValidationError

from kinemill.augment.gaussian_noise import GaussianNoise

COLUMNS = ["angle", "speed", "torque"]
EXAMPLE = {"type": "gaussian_noise", "std": {"speed": 0.5}}


def test_noise_has_the_standard_deviation_asked_for_and_spares_other_channels():
    values = np.ones((40_000, 3), np.float32)
    noise = GaussianNoise(std={"speed": 0.5})
    ((_, copy),) = noise.vary(values, COLUMNS, np.random.default_rng(0))
    # The standard deviation of n normal numbers is known to 1 / sqrt(2 n) = 0.35 %; 4 of these.
    assert copy[:, 1].std() == pytest.approx(0.5, rel=0.014)
    assert copy[:, 1].mean() == pytest.approx(1.0, abs=4 * 0.5 / 200)
    np.testing.assert_array_equal(copy[:, [0, 2]], 1.0)


def test_copies_differ_from_each_other():
    noise = GaussianNoise(std={"speed": 0.5}, copies=3)
    copies = list(noise.vary(np.zeros((9, 3), np.float32), COLUMNS, np.random.default_rng(0)))
    assert [label for label, _ in copies] == ["0", "1", "2"]
    assert len({copy.tobytes() for _, copy in copies}) == 3


@pytest.mark.parametrize("std", [{}, {"speed": 0.0}, {"speed": -1.0}, {"speed": float("nan")}])
def test_noise_of_no_size_is_refused(std):
    with pytest.raises(ValidationError):
        GaussianNoise(std=std)
