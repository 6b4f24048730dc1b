import numpy as np
import pytest

from kinemill.errors import BadInput
from kinemill.runtime import load
from tests.export.conftest import batch


@pytest.fixture(scope="module")
def simulator(step_folders):
    return load(step_folders["gru"])


def test_a_held_state_is_a_history_that_stands_still(simulator):
    states, past = simulator.hold({"angle": 0.5}, {"torque": 2.0})
    assert (states.shape, past.shape) == ((1, 4, 2), (1, 3, 1))
    np.testing.assert_array_equal(states[0], [[0.5, 0.0]] * 4)
    np.testing.assert_array_equal(past[0], [[2.0]] * 3)
    assert simulator.rollout(states, past, np.zeros((1, 3, 1))).shape == (1, 3, 2)


def test_another_present_shifts_the_whole_history_of_that_state_alone(simulator):
    states, past, actions = (part.numpy() for part in batch(2, 4, 5))
    moved = simulator.move(states, {"angle": [0.25, -1.0]})
    np.testing.assert_array_equal(moved[:, -1, 0], np.float32([0.25, -1.0]))
    np.testing.assert_array_equal(moved[..., 1], states[..., 1])
    np.testing.assert_allclose(np.diff(moved[..., 0]), np.diff(states[..., 0]), atol=1e-6)
    result = simulator.rollout(states, past, actions, initial={"angle": [0.25, -1.0]})
    np.testing.assert_array_equal(result, simulator.rollout(moved, past, actions))


@pytest.mark.parametrize(
    ("initial", "message"),
    [
        ({"angel": 0.0}, r"state 'angel': .*one of angle, velocity; did you mean 'angle'\?"),
        ({"angle": np.nan}, "initial angle: is nan"),
        ({"angle": [0.0, 1.0, 2.0]}, r"has shape \(3,\); expected a number, or one for each of 2"),
    ],
)
def test_a_present_that_cannot_be_is_refused(initial, message, simulator):
    with pytest.raises(BadInput, match=message):
        simulator.rollout(*(part.numpy() for part in batch(2, 4, 5)), initial=initial)
    if np.ndim(initial[next(iter(initial))]) == 0:
        with pytest.raises(BadInput):
            simulator.hold(initial)
