"""Motion prior: steps of the gaits are rated higher, and a restored prior continues exactly."""

from types import SimpleNamespace

import numpy as np
import torch

from kinemill.policies.motion.motion_prior import BATCH, MotionPrior

JOINTS = 2
GAIT = SimpleNamespace(  # of two joints that swing in opposite phase, 0.2 rad
    middle=np.zeros(JOINTS),
    clips=1,
    phase_step=0.02,
    draw_phases=lambda random, rows: random.uniform(size=len(rows)),
    at=lambda phases, _: SimpleNamespace(joints=swing(phases)),
)


def swing(phases):
    angle = 0.2 * np.sin(2.0 * np.pi * phases)
    return np.stack([angle, -angle], axis=1)


def policy_steps(seed, count=BATCH):
    """Steps of a policy that swings both joints in the same phase."""
    phases = np.random.default_rng(seed).uniform(size=count)
    return swing(phases) * [1.0, -1.0], swing(phases + 0.02) * [1.0, -1.0]


def test_steps_of_the_gait_are_rated_higher_than_those_of_the_policy():
    prior = MotionPrior(GAIT, JOINTS, seed=0)
    for seed in range(8):
        prior.reward(*policy_steps(seed))
    phases = np.linspace(0.0, 1.0, 100)
    gait = prior.reward(swing(phases), swing(phases + 0.02)).mean()
    assert gait > prior.reward(*policy_steps(9, 100)).mean() + 0.1


def test_a_restored_prior_continues_exactly():
    prior, restored = (MotionPrior(GAIT, JOINTS, seed=0) for _ in range(2))
    for seed in range(3):
        prior.reward(*policy_steps(seed))
    prior.reward(*policy_steps(3, BATCH // 3))
    restored.restore({name: tensor.clone() for name, tensor in prior.tensors().items()})
    for trained in (prior, restored):
        trained.reward(*policy_steps(4))
    expected, actual = prior.tensors(), restored.tensors()
    assert expected.keys() == actual.keys()
    assert all(torch.equal(expected[name], actual[name]) for name in expected)
