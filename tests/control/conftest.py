"""A cart on a line, as a task and as a model with known parameters."""

import numpy as np
import pytest

from kinemill.task.document import Task
from tests.conftest import learning_task

DT = 0.1


def sled_task(**control) -> Task:
    """Return a task of a mass of 1 kg under up to 2 N; the plant only provides names."""
    channels = {
        "position": {"role": "state", "unit": "m"},
        "velocity": {"role": "state", "unit": "m/s", "derivative_of": "position"},
        "force": {"role": "action", "unit": "N", "limits": [-2, 2]},
    }
    return learning_task(
        "sled",
        DT,
        channels,
        control={
            "plant": "pendulum",
            "cost": [{"of": "position"}, {"of": "velocity", "weight": 0.3}],
            "controller": {"type": "mppi", "horizon": 20, "knots": 5, "samples": 64},
            **control,
        },
    )


class Sled:
    """Model of a sled for a planner, x'' = u / mass, semi-implicit, with two rows of history."""

    history = 2

    def __init__(self, mass: float = 1.0) -> None:
        self.mass = mass

    def rollout(self, states, past_actions, actions):
        assert states.shape == (2, 2)
        assert past_actions.shape == (1, 1)
        (x, v), result = np.asarray(states)[-1], []
        for u in np.moveaxis(actions[..., 0], 1, 0):
            v = v + DT * u / self.mass
            x = x + DT * v
            result.append(np.stack(np.broadcast_arrays(x, v), axis=-1))
        return np.stack(result, axis=1)


@pytest.fixture
def sled() -> Task:
    return sled_task()


def drive(planner, start, steps):
    """Return (N+1, 2) states and (N, 1) actions of a sled under a planner."""
    states, actions, model = [np.array(start)] * 2, [np.zeros(1)], planner.models[0]
    for _ in range(steps):
        action = planner.act(np.stack(states[-2:]), np.stack(actions[-1:]))
        actions.append(action)
        after = model.rollout(np.stack(states[-2:]), np.stack(actions[-2:-1]), action[None, None])
        states.append(after[0, 0])
    return np.stack(states[1:]), np.stack(actions[1:])
