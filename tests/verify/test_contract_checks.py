"""Angles stay within π on every row that has not diverged."""

from types import SimpleNamespace

import numpy as np

from kinemill.verify.contract_checks import mask_diverged

SIMULATOR = SimpleNamespace(
    states=("angle", "velocity"), interface=SimpleNamespace(angles=("angle",))
)
INPUTS = np.array([3.0, 30.0], dtype=np.float32)


def test_a_row_counts_until_another_state_is_far_larger_than_the_inputs():
    velocity = np.array([[1.0, 2.9e4, 3.1e4, 5.0], [1.0, 1.0, 1.0, 1.0]], dtype=np.float32)
    angle = np.array([[1.0, 2.0, 1e12, 1e12], [1.0, 7.0, 1.0, 1.0]], dtype=np.float32)
    states = mask_diverged(np.stack([angle, velocity], axis=2), SIMULATOR, INPUTS)
    assert np.isnan(states[0, 2:]).all()  # 1,000 times 30 rad/s is left behind there
    assert states[0, :2, 0].tolist() == [1.0, 2.0]
    assert states[1, :, 0].tolist() == [1.0, 7.0, 1.0, 1.0]  # an angle that is not wrapped stays


def test_without_other_states_every_row_counts():
    alone = SimpleNamespace(states=("angle",), interface=SimpleNamespace(angles=("angle",)))
    states = np.full((2, 3, 1), 1e12, dtype=np.float32)
    assert np.array_equal(mask_diverged(states, alone, INPUTS[:1]), states)
