"""Policies of a robot with four joints that track clips or gaits, with random corrections."""

import numpy as np
import torch

from kinemill.policies.environments.legged.clips import COMMAND, TRUNK
from kinemill.policies.motion.clip_reference import ClipFamily
from kinemill.policies.motion.gait_policy import ClipScale, GaitPolicy, GaitSizes
from kinemill.policies.motion.gaits import fit_gaits
from kinemill.policies.motion.policy_inputs import input_size
from kinemill.policies.motion.tracking_policy import TrackingPolicy
from kinemill.policies.rl.networks import Perceptron
from kinemill.runtime.policy_layout import PolicyLayout

JOINTS = ("left_hip", "left_knee", "right_hip", "right_knee")
TARGETS = tuple(f"{name}_target" for name in JOINTS)
SERVOS = {name: {"kp": 20.0 + i, "kv": 0.5, "limit": None} for i, name in enumerate(TARGETS)}


def layout() -> PolicyLayout:
    """Return the observations of a legged robot, and targets within ±1.5 rad."""
    turn = ("turn_x", "turn_y", "turn_z")
    rates = tuple(f"{name}_velocity" for name in JOINTS)
    observed = (*TRUNK, *turn, *JOINTS, *rates, *COMMAND)
    units = dict.fromkeys((*TRUNK, *JOINTS, *TARGETS), "rad")
    units |= dict.fromkeys((*turn, *rates, *COMMAND), "rad/s")
    limits = dict.fromkeys(TARGETS, (-1.5, 1.5))
    return PolicyLayout(0.02, observed, TARGETS, units, limits, (0,) * len(TARGETS))


def of_clips() -> TrackingPolicy:
    """Return a policy of two clips: the first ends after 30 rows, the second loops after 20."""
    torch.manual_seed(0)
    family = ClipFamily(layout(), 2, 31)
    values = {
        "table": torch.randn(2, 31, len(JOINTS)) * 0.3,
        "commands": torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
        "ends": torch.tensor([30.0, 20.0]),
        "loops": torch.tensor([0.0, 1.0]),
        "phase_step": torch.tensor(np.pi / 30.0),
    }
    for name, value in values.items():
        family.get_buffer(name).copy_(value)
    return _tracking(family)


def of_gaits() -> TrackingPolicy:
    """Return a policy of the gaits of two commands, a cycle of 20 rows."""
    torch.manual_seed(0)
    phase = 2.0 * np.pi * np.arange(200)[:, None] / 20.0 + np.array([0.0, 0.4, np.pi, np.pi + 0.4])
    random = np.random.default_rng(0)
    clips = [size * np.sin(phase) + random.normal(0.0, 0.005, phase.shape) for size in (0.2, 0.4)]
    gaits = fit_gaits(clips, [np.array([k, 0.0, 0.0]) for k in (-1.0, 1.0)], 4, 8)
    names, joints = layout(), len(JOINTS)
    sizes = GaitSizes(
        20,
        tuple(range(7, 7 + joints)),
        tuple(range(len(names.observation) - 3, len(names.observation))),
        tuple(range(joints)),
        len(gaits.mean),
        1,
        32,
    )
    family = GaitPolicy(names, sizes)
    family.load_gaits(gaits, ClipScale(np.zeros(3), np.ones(3), np.zeros(joints)))
    return _tracking(family)


def _tracking(family: ClipFamily | GaitPolicy) -> TrackingPolicy:
    """Return a policy with random corrections; commands of gaits change at a limited rate."""
    joints = len(JOINTS)
    core = Perceptron([input_size(joints), 16, joints], "elu")
    step = (0.1, 0.1, 0.2) if isinstance(family, GaitPolicy) else ()
    return TrackingPolicy(layout(), family, core, step).eval()
