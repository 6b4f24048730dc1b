"""Advantages along the turns of each agent, against sums worked out by hand."""

import numpy as np
import pytest

from kinemill.rl.agent_buffer import agent_advantages


def test_an_agents_reward_between_its_turns_counts_for_its_own_turn():
    # One environment; agents 0, 1, 0, 1; the episode ends after the last turn.
    rewards = np.array([[[1, 10]], [[2, 20]], [[4, 40]], [[8, 80]]], np.float32)
    agents = np.array([[0], [1], [0], [1]])
    values = np.array([[0.5], [0.25], [2.0], [3.0]], np.float32)
    starts = np.array([[True], [False], [False], [False]])
    actual = agent_advantages(rewards, agents, values, starts, np.array([True]), (0.5, 0.8))
    second_0 = 4 + 8 - 2.0
    first_0 = 1 + 2 + 0.5 * 2.0 - 0.5 + 0.5 * 0.8 * second_0
    second_1 = 80 - 3.0
    first_1 = 20 + 40 + 0.5 * 3.0 - 0.25 + 0.5 * 0.8 * second_1
    assert actual[:, 0] == pytest.approx([first_0, first_1, second_0, second_1])


def test_the_last_turn_of_a_rollout_is_worth_its_own_value():
    rewards = np.array([[[1.0, 0.0]], [[0.0, 0.0]]], np.float32)
    agents, values = np.array([[0], [1]]), np.array([[3.0], [7.0]], np.float32)
    starts = np.array([[True], [False]])
    actual = agent_advantages(rewards, agents, values, starts, np.array([False]), (0.9, 0.95))
    assert actual[:, 0] == pytest.approx([1.0 + 0.9 * 3.0 - 3.0, 0.9 * 7.0 - 7.0])


def test_with_one_agent_it_is_the_ordinary_estimate():
    random = np.random.default_rng(0)
    rewards, values = random.normal(size=(9, 3, 1)), random.normal(size=(9, 3))
    starts, ended = random.random((9, 3)) < 0.3, np.array([True, True, True])
    actual = agent_advantages(rewards, np.zeros((9, 3), int), values, starts, ended, (0.97, 0.9))
    later, after = np.zeros(3), np.zeros(3)
    for step in reversed(range(9)):
        going = 1.0 - (ended if step == 8 else starts[step + 1])
        delta = rewards[step, :, 0] + 0.97 * after * going - values[step]
        later = delta + 0.97 * 0.9 * going * later
        after = values[step]
        np.testing.assert_allclose(actual[step], later, rtol=1e-5, atol=1e-6)
