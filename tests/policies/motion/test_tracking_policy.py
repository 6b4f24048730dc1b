"""The command that a policy of gaits follows."""

import numpy as np
import pytest
import torch

from kinemill.policies.environments.legged.commands import largest_command
from kinemill.policies.motion.gait_policy import GaitPolicy
from kinemill.policies.motion.tracking_policy import TrackingPolicy
from tests.policies.motion.policies import of_clips, of_gaits


def observed(policy: TrackingPolicy, *command: float) -> torch.Tensor:
    rows = torch.zeros(1, len(policy.layout.observation))
    rows[:, 3], rows[:, -3:] = 1.0, torch.tensor(command)
    return rows


def test_the_first_command_is_followed_at_once_and_others_at_a_limited_rate():
    policy = of_gaits()
    _, *carry = policy(observed(policy, 0.5, 0.0, -1.0), *policy.initial_carry(1))
    np.testing.assert_allclose(carry[3], [[0.5, 0.0, -1.0]])
    commands = []
    for _ in range(7):
        _, *carry = policy(observed(policy, 0.0, 0.05, 0.1), *carry)
        commands.append(carry[3][0].numpy())
    np.testing.assert_allclose(commands[0], [0.4, 0.05, -0.8], atol=1e-6)
    np.testing.assert_allclose(commands[3], [0.1, 0.05, -0.2], atol=1e-6)
    np.testing.assert_allclose(commands[6], [0.0, 0.05, 0.1], atol=1e-6)


def test_the_gait_is_that_of_the_followed_command():
    """After a jump, the targets are those of a policy that got the followed command."""
    limited = of_gaits()
    assert isinstance(limited.family, GaitPolicy)
    free = TrackingPolicy(limited.layout, limited.family, limited.core).eval()
    first = observed(limited, 1.0, 0.0, 0.0)
    _, *carry = limited(first, *limited.initial_carry(1))
    target, *after = limited(observed(limited, -1.0, 0.0, 0.0), *carry)
    expected, *_ = free(observed(limited, 0.9, 0.0, 0.0), *carry[:3])
    torch.testing.assert_close(target, expected)
    jumped, *_ = free(observed(limited, -1.0, 0.0, 0.0), *carry[:3])
    assert (target - jumped).abs().max() > 0.01
    assert [len(part[0]) for part in after] == [1, 1, 4, 3]


def test_nan_in_a_command_stays_nan():
    policy = of_gaits()
    _, *carry = policy(observed(policy, 0.5, 0.0, 0.0), *policy.initial_carry(1))
    target, *after = policy(observed(policy, float("nan"), 0.0, 0.0), *carry)
    assert target.isnan().all()
    assert after[3].isnan().tolist() == [[True, False, False]]


def test_clips_change_as_their_command_says():
    assert of_clips().carry_shapes == ((1,), (1,), (4,))


@pytest.mark.parametrize(
    ("commands", "largest"),
    [
        ([(0.1, -0.3, 0.0)], [0.1, 0.3, 0.0]),
        ([((-0.5, 0.2), 0.0, 0.1), (0.1, 0.2, -0.3)], [0.5, 0.2, 0.3]),
    ],
)
def test_the_largest_command_is_that_of_fixed_ones_and_of_ends(commands, largest):
    np.testing.assert_allclose(largest_command(commands), largest)
