"""Limits of states in closed loop: the episode ends, and the motors are stopped."""

import numpy as np
import pytest

from kinemill.control import Robot, plain_policy, run_episode
from kinemill.control.controlled_plant import EpisodeFailed, GuardedPlant
from kinemill.task import load_task

TASK = load_task("cart_pole_swing_up", {"control.seconds": 2})


class Recorded(Robot):
    """Plant that records the sent actions, and has a sensor fault at one step."""

    def __init__(self, fault: tuple[int, float] = (-1, 0.0)) -> None:
        super().__init__(TASK)
        self.sent, self.beats, self.fault = [], 0, fault

    def act(self, action):
        self.sent.append(float(action[0]))
        super().act(action)

    def observe(self):
        state = super().observe().copy()
        if len(self.sent) == self.fault[0]:
            state[0] = self.fault[1]
        return state

    def heartbeat(self):
        self.beats += 1


def run(plant, limits=None):
    guarded = GuardedPlant(TASK, plant, limits)
    return run_episode(TASK, plain_policy(TASK, "random"), 0, robot=guarded)


def test_a_good_episode_is_the_same_with_a_guard_and_has_a_heartbeat_for_each_step():
    plant = Recorded()
    episode = run(plant)
    plain = run_episode(TASK, plain_policy(TASK, "random"), 0)
    np.testing.assert_array_equal(episode.states, plain.states)
    assert plant.beats == len(episode.actions) == 100


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (np.nan, r"cart_position is not finite"),
        (np.inf, "cart_position is not finite"),
        (-7.0, r"cart_position is -7 m; expected -1\.6 to 1\.6 m"),
    ],
)
def test_a_state_that_may_not_be_ends_the_episode_with_the_motors_at_rest(value, what):
    plant = Recorded(fault=(40, value))
    with pytest.raises(EpisodeFailed, match=what) as failed:
        run(plant)
    assert "step 40 (0.8 s)" in str(failed.value)
    assert len(plant.sent) == 41
    assert plant.sent[-1] == 0.0


def test_limits_of_the_loop_are_narrower_than_those_of_the_channel():
    with pytest.raises(EpisodeFailed, match=r"expected -0\.2 to 0\.2 m"):
        run(Recorded(), {"cart_position": (-0.2, 0.2)})
