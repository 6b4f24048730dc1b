"""Sensor bias: one number an episode."""

import numpy as np
import pytest

from kinemill.augment.sensor_bias import SensorBias

EXAMPLE = {"type": "sensor_bias", "std": {"angle": 0.02, "speed": 0.005, "torque": 0.05}}


def test_the_whole_episode_is_off_by_the_same_and_other_channels_are_not(signals):
    values = np.zeros((50, 6), np.float32)
    copy = SensorBias(std={"angle": 0.1}).vary(values, signals, np.random.default_rng(0))
    assert np.ptp(copy, axis=0).tolist() == [0.0] * 6
    assert np.flatnonzero(copy[0]).tolist() == [0]


def test_biases_of_many_episodes_have_the_standard_deviation_asked_for(signals):
    plugin, values = SensorBias(std={"angle": 0.1}), np.zeros((1, 6), np.float32)
    drawn = [plugin.vary(values, signals, np.random.default_rng(n))[0, 0] for n in range(2000)]
    # SplitContext to 1 / sqrt(2 n) = 1.6 %; 4 of these.
    assert np.std(drawn) == pytest.approx(0.1, rel=0.064)
