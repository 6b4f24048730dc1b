"""Deep Q-learning: clipped gradients, shares of random actions, and what is exported."""

import numpy as np
import pytest
import torch
from torch import nn

from kinemill.policies.rl.algorithms.qrdqn import mean_layer
from tests.policies.rl.test_training_loop import CART, rl_task, settings_of, site_of


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


def test_random_actions_over_several_rounds_become_fewer():
    settings = {"exploration_fraction": 0.5, "exploration_initial_eps": 0.9}
    algorithm = {**settings_of("dqn"), **settings, "exploration_final_eps": 0.1}
    task = rl_task(CART, algorithm, steps=80)
    learner = task.learn.algorithm.learner(site_of(task))
    shares = list[float]()
    for until in (16, 40, 80):  # rollouts of 8 steps
        learner.advance(until, None)
        shares.append(learner.model.exploration_rate)
    assert shares == pytest.approx([0.58, 0.1, 0.1])
