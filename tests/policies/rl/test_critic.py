"""The critic of a published policy: the library's own values, in units of the reward."""

import numpy as np
import pytest
import torch

from kinemill.policies.environments import make_environment
from kinemill.policies.rl.critic import load_critic
from kinemill.train import start_in
from tests.policies.rl.test_training_loop import CART, POINT, VARIANTS, published, rl_task, site_of

WRAPPERS = [
    "frame_stack",
    {"type": "normalize_observation", "steps": 100},
    "action_scaling",
    {"type": "reward_scaling", "factor": 0.1},
]


@pytest.mark.parametrize("name", ["sac", "tqc"])
def test_values_are_those_of_the_library_over_the_scale_of_rewards(home, name):
    task = rl_task({**POINT, "wrappers": WRAPPERS}, name, steps=64)
    start = start_in(published(task, home))
    critic = load_critic(task, start)
    library = task.learn.algorithm.learner(site_of(task))
    library.start(critic.actor.restart.named())
    outside, inside = make_environment(task), site_of(task).environment
    inside.seed(5)
    observation, stacked = outside.reset(seed=5)[0], inside.reset()
    carry = list(critic.actor.initial_carry(1))
    for step in range(4):
        row, carry = critic.encode([torch.from_numpy(observation)[None]], carry)
        scaled = np.full((1, 1), 0.2 * step - 0.5, np.float32)
        action = 2.0 * scaled  # of a point that is pushed with up to 2 N
        one_row = torch.from_numpy(stacked[:1])
        expected = library.model.policy.critic(one_row, torch.from_numpy(scaled))
        expected = torch.cat([*expected], dim=-1)
        value = expected.min() if name == "sac" else expected.mean()
        assert critic.values(row, torch.from_numpy(action)).item() == pytest.approx(
            10.0 * value.item(), rel=1e-4
        )
        observation = outside.step(action[0])[0]
        stacked = inside.step(np.repeat(scaled, 2, axis=0))[0]


@pytest.mark.parametrize("variant", ["dqn", "qrdqn"])
def test_the_choice_of_a_value_based_policy_has_the_largest_value(home, variant):
    task = rl_task(CART, VARIANTS[variant], steps=64)
    critic = load_critic(task, start_in(published(task, home)))
    rows = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    values = [critic.values(rows, torch.full((20, 1), float(number))) for number in (0, 1)]
    best = torch.stack(values, dim=1).argmax(dim=1)
    assert critic.actor(rows)[0][:, 0].tolist() == best.tolist()


def test_the_critic_of_states_values_no_action(home):
    task = rl_task(steps=64)
    assert load_critic(task, start_in(published(task, home))) is None


@pytest.mark.parametrize("name", ["sac", "td3", "tqc"])
def test_critics_with_layer_norm_are_separate_networks(name):
    """The values ignore the scale of a first layer without bias: its rows are normalized."""
    critic = {"type": "mlp", "hidden_sizes": [8, 8], "layer_norm": True}
    task = rl_task(POINT, name, critic=critic)
    policy = task.learn.algorithm.learner(site_of(task)).model.policy
    rows, actions = torch.randn(5, 2), torch.zeros(5, 1)
    for networks in (policy.critic, policy.critic_target):
        assert len(networks.q_networks) == 2
        before = torch.cat([*networks(rows, actions)], dim=-1)
        for network in networks.q_networks:
            network[0].bias.data.zero_()
        plain = torch.cat([*networks(rows, actions)], dim=-1)
        for network in networks.q_networks:
            network[0].weight.data.mul_(1e3)
        scaled = torch.cat([*networks(rows, actions)], dim=-1)
        assert not torch.allclose(before, plain)
        torch.testing.assert_close(scaled, plain, rtol=1e-3, atol=1e-3)
    weights = [network[0].weight for network in policy.critic.q_networks]
    assert not torch.equal(*weights)
    assert len(policy.critic.optimizer.param_groups[0]["params"]) == 2 * 10
