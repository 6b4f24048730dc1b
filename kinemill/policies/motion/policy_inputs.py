"""Inputs of the network of a tracking policy, and their mirror image.

Symbols: B batch, J joints, E inputs.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinemill.augment.mirror import Mirror
from kinemill.errors import BadInput
from kinemill.policies.environments.legged.body import columns
from kinemill.policies.environments.legged.clips import COMMAND_UNITS
from kinemill.policies.motion.reference import Floats, Reference, Rows
from kinemill.policies.rl.mirror_image import MirrorImage, Reflection
from kinemill.runtime.policy_layout import PolicyLayout

RATE_SCALE = 0.1
TURN_SCALE = 0.25  # factors of joint rates and of the trunk's rates
# Columns that only a critic sees: velocity and its average minus the command, in units of
# `COMMAND_UNITS`; height above the reference; push; mass, friction, gain; latency; noise.
PRIVILEGED = 3 + 3 + 1 + 1 + 3 + 1 + 1

_ATTITUDE = (-1, 1, -1, 1)
_UP = (1, -1, 1)  # a quaternion x, y, z, w; a direction
_TURN = (-1, 1, -1)
_COMMAND = (1, -1, -1)  # rates about x, y, z; velocities x, y, yaw
_PHASE = (-1, -1)  # cosine and sine: the image of a gait is half a cycle later
_PRIVILEGED = (*_COMMAND, *_COMMAND, *[1] * 7)


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
    observation = torch.from_numpy(observations.astype(float))
    next_joints = reference.at(phases + reference.phase_step, command_rows).joints
    inputs = network_inputs(
        observation,
        observation[:, columns(len(reference.middle))[2]],
        torch.from_numpy(phases[:, None]),
        torch.from_numpy(corrections),
        torch.from_numpy(next_joints),
        torch.from_numpy(reference.middle),
    )
    return inputs.numpy().astype(np.float32)


def network_inputs(
    observation: Tensor,
    command: Tensor,
    phase: Tensor,
    correction: Tensor,
    next_joints: Tensor,
    middle: Tensor,
) -> Tensor:
    """Return the inputs of the network, (B, E).

    Args:
        observation: (B, 10 + 2 J), as the robots return it.
        command: (B, 3) that the robot tracks.
        phase: (B, 1) rad.
        correction: (B, J) of the step before.
        next_joints: (B, J) rad, of the reference at the next step.
        middle: (J,) rad, mean of the reference.
    """
    joints, rates, _ = columns(len(middle))
    parts = [
        _trunk_inputs(observation),
        observation[:, joints] - middle,
        RATE_SCALE * observation[:, rates],
        command / observation.new_tensor(COMMAND_UNITS),
        phase.cos(),
        phase.sin(),
        correction,
        next_joints - middle,
    ]
    return torch.cat(parts, dim=1)


def _trunk_inputs(observation: Tensor) -> Tensor:
    """Return the up direction and the trunk's rates, both in the frame of the trunk: (B, 6)."""
    x, y, z, w = observation[:, :4].unbind(dim=1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)], dim=1),
        torch.stack([2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)], dim=1),
        torch.stack([2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)], dim=1),
    ]
    turn = observation[:, 4:7]
    up = torch.stack([row[:, 2] for row in rows], dim=1)
    return torch.cat([up, *(TURN_SCALE * (row * turn).sum(1, keepdim=True) for row in rows)], dim=1)


def mirror_inputs(mirror: Mirror, layout: PolicyLayout, *, privileged: bool) -> MirrorImage:
    """Return the mirror image of the inputs of the network and of the corrections.

    With `privileged`, the inputs end with the columns that only a critic sees.

    Raises:
        BadInput: Trunk and command are not mirrored left to right, or a joint has no partner.
    """
    names = layout.observation
    order, signs = mirror.image_of(names)
    joints, rates, command = columns(len(layout.actions))
    expected = np.ones(len(names), np.float32)
    expected[:7], expected[command] = (*_ATTITUDE, *_TURN), _COMMAND
    expected_columns = np.r_[:7, command]
    if not (
        np.array_equal(order[expected_columns], expected_columns)
        and np.array_equal(signs[expected_columns], expected[expected_columns])
    ):
        flipped = [names[column] for column in expected_columns if expected[column] < 0.0]
        raise BadInput(
            "augment: mirror",
            "does not reflect trunk and command left to right",
            expected=f"of them, only {', '.join(flipped)} in flip, and none in swap",
        )
    angles = Reflection(order[joints] - joints.start, signs[joints])
    corrections = Reflection(*mirror.image_of(layout.actions))
    parts = [
        _in_place(_UP),
        _in_place(_TURN),
        angles,
        Reflection(order[rates] - rates.start, signs[rates]),
        _in_place(_COMMAND),
        _in_place(_PHASE),
        corrections,
        angles,
        *([_in_place(_PRIVILEGED)] if privileged else []),
    ]
    return MirrorImage(Reflection.of_parts(parts), corrections)


def _in_place(signs: tuple[int, ...]) -> Reflection:
    return Reflection(np.arange(len(signs)), np.array(signs, np.float32))
