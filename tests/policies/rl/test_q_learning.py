"""Deep Q-learning: clipped gradients, shares of random actions, and what is exported."""

import numpy as np
import pytest
import torch
from torch import nn

from kinemill.policies.rl.algorithms.dqn import DQN
from kinemill.policies.rl.q_learning import mean_layer
from tests.policies.rl.test_training_loop import CART, rl_task, site_of


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
