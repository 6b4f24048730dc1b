"""Mirror images of steps, and a critic that observes more than the actor."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from stable_baselines3.common.policies import ActorCriticPolicy

from kinemill.policies.rl.actor_critics import with_privileged_critic
from kinemill.policies.rl.mirror_image import MirrorImage, Reflection
from kinemill.policies.rl.rollout_buffers import MirroredRollouts

SWAP = Reflection(np.array([1, 0, 2]), np.array([1, 1, -1], np.float32))
FLIP = Reflection(np.array([0]), np.array([-1], np.float32))


def space(columns: int) -> Box:
    return Box(-1.0, 1.0, (columns,), np.float32)


def test_a_batch_has_each_step_and_its_image():
    buffer = MirroredRollouts(
        2, space(3), space(1), device="cpu", n_envs=2, mirror=MirrorImage(SWAP, FLIP)
    )
    for step in range(2):
        rows = np.array([[1, 2, 3], [4, 5, 6]]) + 10 * step
        value = torch.tensor([0.5, 0.25]) + step
        actions = np.array([[0.1], [0.2]]) + step
        buffer.add(rows, actions, np.ones(2), np.zeros(2), value, -value)
    buffer.compute_returns_and_advantage(torch.zeros(2), np.zeros(2))
    batches = list(buffer.get(2))
    assert [len(batch.observations) for batch in batches] == [4, 4]
    rows, actions, values, log_probs, advantages, returns = (
        torch.cat(part) for part in zip(*batches, strict=True)
    )
    direct = torch.cat([torch.arange(2), torch.arange(4, 6)])
    images = direct + 2
    assert sorted(rows[direct, 0].tolist()) == [1, 4, 11, 14]
    torch.testing.assert_close(rows[images], rows[direct][:, [1, 0, 2]] * torch.tensor([1, 1, -1]))
    torch.testing.assert_close(actions[images], -actions[direct])
    for value in (values, log_probs, advantages, returns):
        torch.testing.assert_close(value[images], value[direct])


def test_parts_are_reflected_side_by_side():
    reflection = Reflection.of_parts([FLIP, SWAP])
    rows = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    assert reflection.apply(rows).tolist() == [[-1.0, 3.0, 2.0, -4.0]]
    torch.testing.assert_close(reflection.apply(reflection.apply(rows)), rows)


@pytest.mark.parametrize("hidden", [[8, 8], []])
def test_only_the_critic_sees_the_last_columns(hidden):
    torch.manual_seed(0)
    kind = with_privileged_critic(ActorCriticPolicy, 2)
    policy = kind(space(5), space(1), lambda _: 1e-3, net_arch={"pi": hidden, "vf": [8]})
    rows = torch.rand(4, 5)
    others = torch.cat([rows[:, :3], torch.rand(4, 2)], dim=1)
    mean = [policy.get_distribution(direct).distribution.mean for direct in (rows, others)]
    torch.testing.assert_close(*mean, rtol=0.0, atol=0.0)
    assert (policy.predict_values(rows) != policy.predict_values(others)).any()
    assert {parameter.requires_grad for parameter in policy.parameters()} == {True}
    assert len(policy.optimizer.param_groups[0]["params"]) == len([*policy.parameters()])
