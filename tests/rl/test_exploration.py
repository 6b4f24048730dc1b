"""Exploration with random linear policies: who acts when, and how far a pendulum swings."""

import gymnasium
import numpy as np
import pytest

from kinemill.rl.exploration import RandomPolicies, Turns
from tests.rl.test_training_loop import POINT, rl_task, settings_of, site_of

STEPS = {"first_steps": (3, 9), "random_steps": (2, 4), "policy_steps": (5, 8)}


def lengths(flags):
    """Return the lengths of the runs of equal values, by value, without the last run."""
    ends = np.flatnonzero(np.diff(flags)) + 1
    return {
        kind: [len(one) for one in np.split(flags, ends)[:-1] if one[0] == kind] for kind in (0, 1)
    }


def test_turns_alternate_and_have_the_steps_of_the_settings():
    turns = Turns(RandomPolicies.model_validate(STEPS), np.random.default_rng(0), (3, 1, 2))
    observed, flags = np.ones((4, 2)), []
    for _ in range(400):
        turns.advance(observed, is_first=False)
        flags.append(turns.is_random.copy())
    for column in np.array(flags, int).T:
        found = lengths(column)
        assert (min(found[1]), max(found[1])) == (2, 4)
        assert (min(found[0]), max(found[0])) == (5, 8)


def test_random_policies_alone_act_before_the_learned_one():
    turns = Turns(RandomPolicies.model_validate(STEPS), np.random.default_rng(0), (2, 1, 2))
    for _ in range(50):
        turns.advance(np.ones((4, 2)), is_first=True)
        assert turns.is_random.all()


def test_actions_do_not_depend_on_the_units_of_an_observation():
    """The same observations in mm and in m: equal actions, within the range."""
    observed = np.random.default_rng(1).normal(size=(50, 2))
    actions = list[np.ndarray]()
    for unit in (1.0, 1000.0):
        turns = Turns(RandomPolicies(), np.random.default_rng(0), (1, 3, 2))
        turns.advance(unit * observed, is_first=True)
        actions.append(turns.act(unit * observed[:1]))
    assert actions[0] == pytest.approx(actions[1], abs=1e-6)
    assert np.abs(actions[0]).max() <= 1.0


def share_upright(choose, episodes=20):
    """Return the share of episodes of a pendulum that come within 30 degrees of upright."""
    environment, found = gymnasium.make("Pendulum-v1"), 0
    for seed in range(episodes):
        environment.reset(seed=seed)
        environment.unwrapped.state = np.array([np.pi, 0.0])  # hanging at rest
        observation, reached = np.array([-1.0, 0.0, 0.0]), False
        for _ in range(200):
            observation, *_ = environment.step(2.0 * choose(observation))
            reached |= bool(observation[0] > np.cos(np.pi / 6))
        found += reached
    return found / episodes


def test_random_policies_swing_a_pendulum_up_where_independent_noise_does_not():
    random = np.random.default_rng(0)
    turns = Turns(RandomPolicies(), random, (1, 1, 3))
    observed = np.array([[1.0, 1.0, 4.0]])

    def choose(observation):
        turns.advance(observed, is_first=True)
        return turns.act(observation[None])[0]

    assert share_upright(lambda _: random.uniform(-1.0, 1.0, 1)) == 0.0
    assert share_upright(choose) >= 0.1


@pytest.mark.parametrize("name", ["sac", "td3", "tqc"])
def test_the_replay_buffer_has_the_actions_of_the_random_policies(name):
    """Before the first update: actions that follow from the observations, clipped for most."""
    algorithm = {**settings_of(name), "learning_starts": 1000}
    algorithm["exploration"] = {"noise": 0.0, "gain": 1e4}
    task = rl_task(POINT, algorithm)
    learner = task.learn.algorithm.learner(site_of(task))
    learner.advance(64, 0)
    buffer = learner.model.replay_buffer
    assert (np.abs(buffer.actions[: buffer.pos]) == 1.0).mean() >= 0.9


def test_the_learned_policy_acts_alone_from_the_last_step_on():
    algorithm = {**settings_of("sac"), "learning_starts": 0}
    algorithm["exploration"] = {"noise": 0.0, "gain": 1e4, "policy_steps": (1, 1), "until": 64}
    task = rl_task(POINT, algorithm, num_envs=1)
    learner = task.learn.algorithm.learner(site_of(task))
    learner.advance(128, 0)
    clipped = (np.abs(learner.model.replay_buffer.actions[:128]) == 1.0).reshape(2, 64)
    assert clipped[0].mean() >= 0.5
    assert not clipped[1].any()
