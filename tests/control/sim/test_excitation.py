"""Exciting inputs: within bounds, within the band, and unlike each other."""

import numpy as np
import pytest

from kinemill.control.sim._excitation import chirp, mixture, multisine, random_steps

T = np.arange(0.0, 20.0, 0.01)


@pytest.mark.parametrize("signal", [multisine, chirp, random_steps, mixture])
def test_signals_stay_within_one_and_are_the_generator_s_alone(signal):
    for seed in range(5):
        values = signal(T, np.random.default_rng(seed))
        assert values.shape == T.shape
        assert np.abs(values).max() <= 1.0
        np.testing.assert_array_equal(values, signal(T, np.random.default_rng(seed)))
    assert not np.array_equal(values, signal(T, np.random.default_rng(99)))


@pytest.mark.parametrize("signal", [multisine, chirp])
def test_the_power_is_between_0_3_and_3_hertz(signal):
    power = np.zeros(len(T) // 2 + 1)
    for seed in range(8):
        values = signal(T, np.random.default_rng(seed)) * np.hanning(len(T))
        power += np.abs(np.fft.rfft(values)) ** 2
    hertz = np.fft.rfftfreq(len(T), 0.01)
    inside = (hertz > 0.15) & (hertz < 3.3)  # a Hann window of 20 s smears by 0.1 Hz
    assert power[inside].sum() > 0.99 * power.sum()


def test_random_steps_are_held_between_0_1_and_0_6_seconds():
    values = random_steps(T, np.random.default_rng(0))
    lengths = np.diff(np.flatnonzero(np.diff(values))) * 0.01
    assert lengths.min() >= 0.1 - 0.011  # both ends fall on rows 0.01 s apart
    assert lengths.max() <= 0.6 + 0.011
