"""Sensor drift: a random walk, as far after a second at any time step."""

from dataclasses import replace

import numpy as np
import pytest

from kinemill.augment.sensor_drift import SensorDrift

EXAMPLE = {"type": "sensor_drift", "std": {"angle": 0.01, "torque": 0.1}}


@pytest.mark.parametrize("dt", [0.01, 0.002])
def test_the_walk_grows_with_the_square_root_of_time(signals, dt):
    plugin, rows = SensorDrift(std={"angle": 0.1}), round(4.0 / dt) + 1
    walks = [
        plugin.vary(np.zeros((rows, 6), np.float32), replace(signals, dt=dt), random)[:, 0]
        for random in map(np.random.default_rng, range(400))
    ]
    assert max(abs(walk[0]) for walk in walks) == 0.0
    # SplitContext to 1 / sqrt(2 n) = 3.5 %; 4 of these.
    assert np.std([walk[round(1 / dt)] for walk in walks]) == pytest.approx(0.1, rel=0.14)
    assert np.std([walk[-1] for walk in walks]) == pytest.approx(0.2, rel=0.14)
