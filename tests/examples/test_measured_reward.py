"""The example of a robot that measures its reward."""

import numpy as np
import pytest

from kinemill.control import Robot, plain_policy, run_episode
from kinemill.task import load_task
from tests.conftest import EXAMPLES
from tests.examples.conftest import load_example

CHANGES = {"control.seconds": 0.6, "control.hold": 0.2}
TASK = load_task(EXAMPLES / "cart_pole_reward.yaml", CHANGES)


@pytest.fixture(scope="module")
def example():
    return load_example("measured_reward")


@pytest.fixture
def robot(example):
    return example.RewardedRobot(Robot(load_task(EXAMPLES / "cart_pole_swing_up_loop.yaml")))


def test_the_reward_is_largest_at_rest_upright_in_the_middle(robot):
    best = robot.reset([0.0, np.pi, 0.0, 0.0, np.nan])
    assert best[-1] == pytest.approx(0.0)
    for changed in ([0.1, np.pi, 0, 0], [0, 3.0, 0, 0], [0, np.pi, 0.1, 0], [0, np.pi, 0, 0.1]):
        assert robot.reset([*changed, 0.0])[-1] < -1e-4


def test_an_episode_has_the_reward_of_each_state(robot):
    episode = run_episode(TASK, plain_policy(TASK, "random"), 3, robot=robot)
    position, angle, velocity, rate, reward = episode.states.T
    upright = 3.0 * (1.0 + np.cos(angle))
    expected = upright + position**2 + 0.05 * velocity**2 + 0.01 * rate**2
    np.testing.assert_allclose(reward, -expected, atol=1e-12)
    assert episode.cost == pytest.approx(-reward[:-1].sum() * TASK.dt, rel=0.2)


@pytest.mark.slow
@pytest.mark.e2e
def test_a_real_loop_learns_the_reward(example, home):
    document = example.main(**{"loop.rounds": 2, "learn.gauss_newton.iterations": 5})
    assert [round_["version"] for round_ in document["rounds"]] == [1, 2]
    assert document["steps"] == 2000
