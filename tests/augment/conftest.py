"""A pendulum that keeps all physical checks, and what its columns are."""

import numpy as np
import pytest

from kinemill.augment import Signals
from kinemill.task import Channel, Task
from tests.conftest import learning_task

# A pendulum of 1 m under a stepped torque, on a cart that is moved sinusoidally by a motor.
CHANNELS = {
    "angle": {"role": "state", "unit": "rad", "kind": "angle"},
    "speed": {"role": "state", "unit": "rad/s", "derivative_of": "angle", "limits": [-9, 9]},
    "place": {"role": "state", "unit": "m", "limits": [-2, 2]},
    "pace": {"role": "state", "unit": "m/s", "derivative_of": "place"},
    "torque": {"role": "action", "unit": "N*m", "limits": [-6, 6]},
    "valve": {"role": "action", "unit": "V", "limits": [0, 5]},
}
DT = 0.01
JUMPS = {"angle": 0.2, "speed": 1.0, "place": 0.2}


def make_task(*augmentations, **parts) -> Task:
    return learning_task(
        "arm", DT, CHANNELS, validate={"max_jump": JUMPS}, augment=list(augmentations), **parts
    )


def swing(rows: int, seed: int = 0) -> np.ndarray:
    """Return (rows, 6) float32 of θ'' = -9.81 sin θ - 0.2 θ' + u, ten Euler steps a row.

    Sensors err by 0.1 mrad and 0.1 mm, 0.02 rad/s and 0.02 m/s.
    """
    random = np.random.default_rng(seed)
    angle, speed, result = random.uniform(-1, 1), 0.0, np.empty((rows, 6))
    phase, torque = random.uniform(0, 6), 0.0
    for k in range(rows):
        if k % 20 == 0:
            torque = random.uniform(-3, 3)
        time = k * DT + phase
        result[k] = [angle, speed, np.sin(time), np.cos(time), torque, 2.5 + np.sin(3 * time)]
        for _ in range(10):
            speed += 0.001 * (torque - 9.81 * np.sin(angle) - 0.2 * speed)
            angle += 0.001 * speed
    noise = np.array([1e-4, 0.02, 1e-4, 0.02, 0.0, 0.0]) * random.standard_normal(result.shape)
    return (result + noise).astype(np.float32)


@pytest.fixture(scope="session")
def signals() -> Signals:
    channels = {name: Channel.model_validate(its) for name, its in CHANNELS.items()}
    return Signals(list(CHANNELS), channels, DT)
