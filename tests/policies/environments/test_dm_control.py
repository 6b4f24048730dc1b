"""DeepMind Control Suite by Gymnasium ids: the same numbers as dm_control itself."""

import os
import sys
from ctypes.util import find_library

import numpy as np
import pytest

from kinemill.errors import BadInput
from kinemill.policies.environments import make_environment
from kinemill.policies.environments.evaluation import numbers_in
from tests.policies.environments.test_environments import task_in

SUITE = {"type": "gymnasium", "id": "dm_control/cartpole-swingup-v0"}


def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "dm_control.mujoco.wrapper.mjbindings.sizes", None)
    monkeypatch.setattr("gymnasium.registry", {})
    with pytest.raises(BadInput, match=r"kinemill\[dm-control\]"):
        make_environment(task_in(SUITE))


class TestWithTheExtra:
    @pytest.fixture(autouse=True)
    def suite(self):
        pytest.importorskip("dm_control", reason="the extra dm-control is not installed")

    def test_an_episode_is_that_of_dm_control(self):
        environment = make_environment(task_in(SUITE))
        first, _ = environment.reset(seed=7)
        from dm_control import suite

        same = suite.load("cartpole", "swingup", {"random": np.random.RandomState(7)})
        start = same.reset().observation
        np.testing.assert_array_equal(
            first, np.concatenate([start["position"], start["velocity"]]).astype(np.float32)
        )
        random, done, steps = np.random.default_rng(0), False, 0
        while not done:
            action = random.uniform(-1.0, 1.0, 1)
            _, reward, terminated, done, info = environment.step(action)
            expected = same.step(action)
            steps += 1
            assert reward == expected.reward
            assert not terminated
            assert numbers_in(info) == {}
        assert expected.last()
        assert steps == 1000  # 10 s of 0.01 s

    @pytest.mark.parametrize(
        "name",
        ["pendulum-swingup", "reacher-easy", "ball_in_cup-catch", "finger-spin", "walker-walk"],
    )
    def test_tasks_have_bounded_actions_and_rewards_of_0_to_1(self, name):
        environment = make_environment(task_in({**SUITE, "id": f"dm_control/{name}-v0"}))
        environment.reset(seed=0)
        environment.action_space.seed(0)
        rewards = [environment.step(environment.action_space.sample())[1] for _ in range(50)]
        assert environment.action_space.is_bounded()
        assert 0.0 <= min(rewards) <= max(rewards) <= 1.0

    def test_a_wrong_name_is_answered_with_the_nearest(self):
        wrong = {**SUITE, "id": "dm_control/cartpole-swinup-v0"}
        with pytest.raises(BadInput, match="did you mean 'dm_control/cartpole-swingup-v0'"):
            make_environment(task_in(wrong))

    @pytest.mark.skipif(not find_library("EGL"), reason="libegl1 is not installed")
    @pytest.mark.skipif("DISPLAY" in os.environ, reason="a display is used instead of EGL")
    def test_a_picture_is_drawn_without_a_display(self):
        environment = make_environment(task_in(SUITE), render=True)
        environment.reset(seed=0)
        picture = environment.render()
        assert (picture.shape, picture.dtype) == ((240, 320, 3), np.uint8)
        assert picture.std() > 5.0
