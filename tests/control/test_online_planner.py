"""A planner behind the watchdog uses the history of actions that were sent."""

import numpy as np
import pytest

from kinemill.control import Online
from kinemill.runtime import Watchdog, load


@pytest.fixture(scope="module")
def simulator(step_folders):
    return load(step_folders["mlp"])


class Counting:
    """Policy that returns its number of calls, and records its arguments."""

    history = 3

    def __init__(self):
        self.calls = []

    def reset(self, seed):
        self.calls.clear()

    def act(self, states, past_actions):
        self.calls.append((states, past_actions))
        return np.array([float(len(self.calls))])


def test_it_rests_until_it_knows_enough_and_after_a_gap(simulator):
    policy, now = Counting(), [0.0]
    online = Online(policy, simulator)
    guard = Watchdog(
        simulator, online, max_age=0.5, deadline=30.0, clock=lambda: now[0], sent=online.sent
    )

    def tick(position):
        now[0] += 1.0
        if position is not None:
            guard.observe([position, 0.0])
        return guard.act().action.tolist()

    assert [tick(0.1), tick(0.2)] == [[0.0], [0.0]]  # at rest: two rows of three
    assert [tick(0.3), tick(0.4)] == [[1.0], [2.0]]
    states, past = policy.calls[-1]
    np.testing.assert_allclose(states[:, 0], [0.2, 0.3, 0.4], rtol=1e-6)
    np.testing.assert_array_equal(past, [[0.0], [1.0]])  # what was sent from 0.2 and from 0.3
    assert tick(None) == [0.0]  # stale: nobody knows the state that this acted from
    assert [tick(0.5), tick(0.6)] == [[0.0], [0.0]]
    assert tick(0.7) == [3.0]
    guard.close()
