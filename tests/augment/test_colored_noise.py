"""Colored noise: its size and its spectrum."""

import numpy as np
import pytest

from kinemill.augment.colored_noise import ColoredNoise, colored

EXAMPLE = {"type": "colored_noise", "std": {"angle": 0.0005, "torque": 0.1}}


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_power_falls_with_frequency_to_the_exponent(exponent):
    white = np.random.default_rng(0).standard_normal((4096, 200))
    power = (np.abs(np.fft.rfft(colored(white, exponent), axis=0)) ** 2).mean(axis=1)
    low, high = power[10:20].mean(), power[1000:2000].mean()
    # Mean of k^-e over the two bands, of 2000 and more chi-squared numbers: 4 standard errors.
    bands = [np.mean(np.arange(a, b) ** -exponent) for a, b in ((10, 20), (1000, 2000))]
    assert low / high == pytest.approx(bands[0] / bands[1], rel=0.1)


@pytest.mark.parametrize("rows", [1000, 1001])
def test_the_standard_deviation_is_the_one_asked_for(signals, rows):
    noise = colored(np.random.default_rng(0).standard_normal((rows, 3000)), 1.0)
    assert np.sqrt(np.mean(noise**2)) == pytest.approx(1.0, rel=0.01)
    assert np.abs(noise.mean(axis=0)).max() < 1e-12
    copy = ColoredNoise(std={"angle": 0.5}).vary(
        np.zeros((rows, 6), np.float32), signals, np.random.default_rng(0)
    )
    assert copy[:, 0].std() == pytest.approx(0.5, rel=0.5)  # pink noise varies much
    assert not copy[:, 1:].any()
