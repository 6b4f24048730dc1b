"""Advantages along the turns of each agent, against sums worked out by hand."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from stable_baselines3.common.buffers import RolloutBuffer

from kinemill.policies.rl.rollout_buffers import agent_advantages


def test_an_agents_reward_between_its_turns_counts_for_its_own_turn():
    # One environment; agents 0, 1, 0, 1; the episode ends after the last turn.
    rewards = np.array([[[1, 10]], [[2, 20]], [[4, 40]], [[8, 80]]], np.float32)
    agents = np.array([[0], [1], [0], [1]])
    values = np.array([[0.5], [0.25], [2.0], [3.0]], np.float32)
    dones, ends = np.array([[False], [False], [False], [True]]), np.zeros_like(rewards)
    actual = agent_advantages(rewards, agents, values, dones, ends, (0.5, 0.8))
    second_0 = 4 + 8 - 2.0
    first_0 = 1 + 2 + 0.5 * 2.0 - 0.5 + 0.5 * 0.8 * second_0
    second_1 = 80 - 3.0
    first_1 = 20 + 40 + 0.5 * 3.0 - 0.25 + 0.5 * 0.8 * second_1
    assert actual[:, 0] == pytest.approx([first_0, first_1, second_0, second_1])


def test_the_last_turn_of_a_rollout_is_worth_its_own_value():
    rewards = np.array([[[1.0, 0.0]], [[0.0, 0.0]]], np.float32)
    agents, values = np.array([[0], [1]]), np.array([[3.0], [7.0]], np.float32)
    dones, ends = np.zeros((2, 1), bool), np.zeros_like(rewards)
    actual = agent_advantages(rewards, agents, values, dones, ends, (0.9, 0.95))
    assert actual[:, 0] == pytest.approx([1.0 + 0.9 * 3.0 - 3.0, 0.9 * 7.0 - 7.0])


def test_a_truncated_episode_is_worth_the_value_of_the_next_turn_or_else_of_the_last_one():
    # One environment; agents 0, 1, 0, then the time limit: agent 1 would act next, worth 6.
    rewards = np.array([[[1, 10]], [[2, 20]], [[4, 40]]], np.float32)
    agents, values = np.array([[0], [1], [0]]), np.array([[0.5], [0.25], [2.0]], np.float32)
    dones, ends = np.array([[False], [False], [True]]), np.zeros_like(rewards)
    ends[2, 0] = np.nan, 6.0
    actual = agent_advantages(rewards, agents, values, dones, ends, (0.5, 0.8))
    second_0 = 4 + 0.5 * 2.0 - 2.0
    first_0 = 1 + 2 + 0.5 * 2.0 - 0.5 + 0.5 * 0.8 * second_0
    first_1 = 20 + 40 + 0.5 * 6.0 - 0.25
    assert actual[:, 0] == pytest.approx([first_0, first_1, second_0])


def test_with_one_agent_it_is_the_estimate_of_stable_baselines3():
    """Whose rewards include the discounted values of truncated episodes."""
    random, shape = np.random.default_rng(0), (9, 3)
    rewards, values = random.normal(size=(*shape, 1)), random.normal(size=shape)
    dones, ends = random.random(shape) < 0.3, random.normal(size=(*shape, 1))
    dones[-1] = True
    ends[random.random(shape) < 0.5] = 0.0  # the others are truncated
    agents = np.zeros(shape, int)
    actual = agent_advantages(rewards, agents, values, dones, ends, (0.97, 0.9))
    buffer = RolloutBuffer(9, Box(-1, 1, (1,)), Box(-1, 1, (1,)), "cpu", 0.9, 0.97, 3)
    starts = np.concatenate([np.ones((1, 3), bool), dones[:-1]])
    for step in range(9):
        reward = rewards[step, :, 0] + 0.97 * np.where(dones[step], ends[step, :, 0], 0.0)
        buffer.add(
            np.zeros((3, 1)), np.zeros((3, 1)), reward, starts[step],
            torch.from_numpy(values[step]), torch.zeros(3),
        )  # fmt: skip
    buffer.compute_returns_and_advantage(torch.zeros(3), dones[-1])
    np.testing.assert_allclose(actual, buffer.advantages, rtol=1e-5, atol=1e-5)
