"""Deep Q-learning: prioritized replay, the dueling network, and what is exported of them."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import nn

from kinemill.rl.algorithms.dqn import DQN
from kinemill.rl.prioritized_replay import PrioritizedReplay, SumTree
from kinemill.rl.q_learning import DuelingNetwork, mean_layer
from tests.rl.test_training_loop import CART, rl_task, site_of

OBSERVATIONS = Box(-1.0, 1.0, (3,), np.float32)


@pytest.mark.parametrize("count", [1, 2, 5, 8, 13])
def test_a_mass_is_found_where_the_running_sum_exceeds_it(count):
    random = np.random.default_rng(count)
    tree, weights = SumTree(count), random.uniform(0.0, 1.0, count)
    tree.put(np.arange(count), weights)
    masses = random.uniform(0.0, weights.sum(), 200)
    expected = np.searchsorted(np.cumsum(weights), masses, side="right")
    assert tree.find(masses).tolist() == expected.tolist()
    assert tree.total == pytest.approx(weights.sum())


def test_sums_follow_each_change_and_can_be_computed_again():
    tree = SumTree(6)
    tree.put(np.arange(6), np.arange(6.0))
    tree.put(np.array([4, 0]), np.array([10.0, 3.0]))
    assert tree.total == 3 + 1 + 2 + 3 + 10 + 5
    tree.weights[5] = 0.0
    tree.add_up()
    assert tree.total == 19


def replay(steps=20, beta=1.0, alpha=1.0):
    buffer = PrioritizedReplay(
        16, OBSERVATIONS, Discrete(2), n_envs=2, alpha=alpha, beta=lambda: beta
    )
    for step in range(steps):
        row = np.full((2, 3), step, np.float32)
        ends = np.array([step % 3 == 0, False])
        infos = [{"TimeLimit.truncated": step % 6 == 0}, {}]
        buffer.add(row, row + 1, np.array([[0], [1]]), np.array([step, -step], float), ends, infos)
    return buffer


def test_steps_are_drawn_in_proportion_to_their_errors():
    buffer, counts = replay(8), np.zeros(16)
    np.random.seed(1)
    for _ in range(40):
        buffer.sample(16)
        buffer.learned(buffer.drawn.astype(float))
    for _ in range(400):
        buffer.sample(16)
        counts += np.bincount(buffer.drawn, minlength=16)
    shares = np.arange(16) / np.arange(16).sum()
    assert counts / counts.sum() == pytest.approx(shares, abs=0.01)
    weights = buffer.corrections[:, 0]
    assert weights * shares[buffer.drawn] == pytest.approx(
        weights[0] * shares[buffer.drawn[0]], rel=1e-4
    )


def test_a_batch_holds_the_stored_steps_and_values_the_last_state_of_a_time_limit():
    buffer = replay(8)
    np.random.seed(0)
    batch = buffer.sample(64)
    rows, copies = np.unravel_index(buffer.drawn, (16, 2))
    assert batch.observations[:, 0].numpy() == pytest.approx(rows)
    assert batch.next_observations[:, 0].numpy() == pytest.approx(rows + 1)
    assert batch.rewards[:, 0].numpy() == pytest.approx(np.where(copies == 0, rows, -rows))
    ended = (copies == 0) & (rows % 3 == 0) & (rows % 6 != 0)
    assert batch.dones[:, 0].numpy().astype(bool).tolist() == ended.tolist()


def test_an_overwritten_step_has_the_priority_of_a_new_one():
    buffer = replay(16)
    buffer.sample(8)
    buffer.learned(np.full(8, 5.0))
    assert buffer.highest == pytest.approx(5.0)
    row = np.zeros((2, 3), np.float32)
    buffer.add(row, row, np.array([[0], [0]]), np.zeros(2), np.zeros(2, bool), [{}, {}])
    assert buffer.priorities[0].tolist() == [buffer.highest] * 2


def test_both_streams_of_a_dueling_network_are_one_layer():
    network = DuelingNetwork(
        OBSERVATIONS, Discrete(4), FlattenExtractor(OBSERVATIONS), 3, [8], nn.Tanh
    )
    network.split()
    x = torch.randn(50, 3)
    merged = nn.Sequential(*network.q_net, network.last_layer())
    assert torch.allclose(merged(x), network(x), atol=1e-6)


def test_the_mean_over_quantiles_is_one_layer():
    layer, x = nn.Linear(5, 7 * 3), torch.randn(20, 5)
    expected = layer(x).view(20, 7, 3).mean(dim=1)
    assert torch.allclose(mean_layer(layer, 7)(x), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["dqn", "qrdqn"])
@pytest.mark.parametrize(("grad_clip", "expected"), [(None, np.inf), (0.5, 0.5)])
def test_without_a_largest_norm_gradients_are_not_clipped(name, grad_clip, expected):
    task = rl_task(CART, name, grad_clip=grad_clip)
    learner = task.learn.algorithm.learner(site_of(task))
    assert learner.model.max_grad_norm == expected


def test_random_actions_become_fewer_over_all_rounds():
    settings = DQN(exploration_fraction=0.5, exploration_initial=0.9, exploration_final=0.1)
    shares = [settings.random_share(step, 1_000) for step in (0, 250, 500, 1_000)]
    assert shares == pytest.approx([0.9, 0.5, 0.1, 0.1])
