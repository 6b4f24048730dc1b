"""Colored noise: its variance, its spectrum, and white noise as before."""

import numpy as np
import pytest

from kinemill.control.exploration import colored_noise


@pytest.mark.parametrize("color", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("steps", [255, 256])
def test_the_variance_is_one_whatever_the_color(color, steps):
    noise = colored_noise(steps, 2000, color, np.random.default_rng(0))
    assert noise.shape == (steps, 2000)
    # The variance of one series of red noise varies by about 1; 2,000 of them know it to 3 %.
    assert np.square(noise).mean() == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("color", [1.0, 2.0])
def test_the_power_falls_with_the_frequency_to_the_color(color):
    noise = colored_noise(1024, 4000, color, np.random.default_rng(1))
    power = np.square(np.abs(np.fft.rfft(noise, axis=0))).mean(axis=1)
    # Ten times the frequency: 10^-color of the power. 4,000 periodograms know it to 2.3 %.
    assert power[100] / power[10] == pytest.approx(10.0**-color, rel=0.1)


def test_white_noise_is_what_the_generator_draws():
    expected = np.random.default_rng(3).standard_normal((7, 2))
    np.testing.assert_array_equal(colored_noise(7, 2, 0.0, np.random.default_rng(3)), expected)
