"""Inputs of the network of a tracking policy, in numpy for the environment it trains in.

`TrackingPolicy` computes the same in torch for the exported file. Symbols: B batch, J joints.
"""

import numpy as np
from numpy.typing import NDArray

from kinemill.policies.environments.legged.body import columns
from kinemill.policies.environments.legged.clips import COMMAND_UNITS, rotations
from kinemill.policies.motion.reference import Floats, Reference, Rows

RATE_SCALE = 0.1
TURN_SCALE = 0.25  # factors of joint rates and of the trunk's rates
# Columns that only a critic sees: velocity and its average minus the command, in units of
# `COMMAND_UNITS`; height above the reference; push; mass, friction, gain; latency; noise.
PRIVILEGED = 3 + 3 + 1 + 1 + 3 + 1 + 1


def input_size(joints: int) -> int:
    """Return E: up, trunk rates, joints, joint rates, command, phase, correction, next pose."""
    return 3 + 3 + joints + joints + 3 + 2 + joints + joints


def policy_inputs(
    observations: NDArray[np.float32],
    phases: Floats,
    corrections: Floats,
    reference: Reference,
    command_rows: Rows | list[int],
) -> NDArray[np.float32]:
    """Return the inputs of the network, (B, E).

    Args:
        observations: (B, 10 + 2 J), as the robots return them.
        phases: (B,) rad.
        corrections: (B, J) of the step before, in units of `motion_tracking.REACH`.
        reference: the gaits or clips.
        command_rows: (B,) rows of `reference.commands`.
    """
    joints, rates, command = columns(len(reference.middle))
    to_world = rotations(observations[:, [3, 0, 1, 2]].astype(float))  # x, y, z, w
    next_joints = reference.at(phases + reference.phase_step, command_rows).joints
    parts = [
        to_world[:, 2],
        TURN_SCALE * np.einsum("bji,bj->bi", to_world, observations[:, 4:7]),
        observations[:, joints] - reference.middle,
        RATE_SCALE * observations[:, rates],
        observations[:, command] / np.array(COMMAND_UNITS),
        np.cos(phases)[:, None],
        np.sin(phases)[:, None],
        corrections,
        next_joints - reference.middle,
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)
