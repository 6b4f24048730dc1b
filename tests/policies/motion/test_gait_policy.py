"""Gait policy: which of two phases that fit equally well is left to rounding."""

from dataclasses import replace

import numpy as np
import torch

from kinemill.export.policy_cases import TOLERANCE, make_cases
from kinemill.policies.motion.gait_policy import ClipScale, GaitPolicy, GaitSizes
from kinemill.policies.motion.gaits import fit_gaits
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.runtime.policy_self_test import play
from kinemill.train.policy_runner import as_policy, interface_of
from tests.policies.motion.policies import JOINTS, TARGETS

AHEAD = np.array([0.0, 0.4, np.pi, np.pi + 0.4])  # rad, of each joint


def symmetric_gait() -> GaitPolicy:
    """Return legs half a cycle apart: with all joints in the middle, two phases fit."""
    torch.manual_seed(0)
    phase = 2.0 * np.pi * np.arange(200)[:, None] / 20.0 + AHEAD
    clips = [size * np.sin(phase) for size in (0.2, 0.4)]
    gaits = fit_gaits(clips, [np.array([k]) for k in (-1.0, 1.0)], 4, 8)
    units = dict.fromkeys((*JOINTS, *TARGETS, "command"), "rad")
    layout = PolicyLayout(0.02, (*JOINTS, "command"), TARGETS, units, {}, (0,) * 4)
    sizes = GaitSizes(20, (0, 1, 2, 3), (4,), (0, 1, 2, 3), len(gaits.mean), 1, 32)
    policy = GaitPolicy(layout, sizes)
    gaits = replace(gaits, rest=np.full(4, 0.01))  # the clips are free of noise
    policy.load_gaits(gaits, ClipScale(np.zeros(1), np.ones(1), np.zeros(4)))
    return policy.eval()


def test_tolerance_covers_both_decisions_of_a_tie_and_no_more_elsewhere():
    policy = symmetric_gait()
    observed = np.zeros((6, 3, 5), np.float32)
    rows = np.arange(3)[:, None, None] + 2.3 * np.arange(3)[:, None]
    observed[3:, :, :4] = 0.3 * np.sin(2.0 * np.pi * rows.transpose(1, 0, 2) / 20.0 + AHEAD)
    cases = make_cases(policy, interface_of(policy), {"observation": observed})
    furthest = np.zeros(6)
    for seed in range(8):  # runtimes whose tables differ in the last bit
        other = symmetric_gait()
        random = np.random.default_rng(seed)
        with torch.no_grad():
            for name in ("last_rows", "keys"):
                table = other.get_buffer(name)
                table *= torch.from_numpy(1.0 + 1e-7 * random.choice([-1.0, 1.0], table.shape))
        actions = play(as_policy(other, finite=False), {"observation": observed})
        apart = np.abs(actions.astype(float) - cases.action)
        assert (apart <= cases.allowed).all()
        furthest = np.maximum(furthest, apart.max(axis=(1, 2)))
    assert furthest[:3].min() > 0.05  # rad: another half of the cycle
    assert cases.allowed[3:].max() < 100 * TOLERANCE
