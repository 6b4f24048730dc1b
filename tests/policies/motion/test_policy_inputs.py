"""The mirror image of a policy's inputs is the input of the mirrored robot."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kinemill.augment.mirror import Mirror
from kinemill.errors import BadInput
from kinemill.policies.environments.legged.clips import COMMAND_UNITS
from kinemill.policies.motion.motion_tracking import Tracking
from kinemill.policies.motion.policy_inputs import (
    PRIVILEGED,
    input_size,
    mirror_inputs,
    policy_inputs,
)
from kinemill.runtime.policy_layout import PolicyLayout

JOINTS = ("left_hip", "left_knee", "right_hip", "right_knee", "neck_yaw")
FLIPPED = ["trunk_x", "trunk_z", "turn_x", "turn_z", "command_y", "command_yaw"]
TRUNK = ("trunk_x", "trunk_y", "trunk_z", "trunk_w", "turn_x", "turn_y", "turn_z")
COMMAND = ("command_x", "command_y", "command_yaw")
LAYOUT = PolicyLayout(
    0.02,
    (*TRUNK, *JOINTS, *(f"{name}_velocity" for name in JOINTS), *COMMAND),
    tuple(f"{name}_target" for name in JOINTS),
    {},
)
PARTS = ("", "_velocity", "_target")


def mirror(**changed) -> Mirror:
    """Left and right swapped; the right hip turns the other way, as the neck."""
    signs = [f"{name}{part}" for name in ("left_hip", "right_hip", "neck_yaw") for part in PARTS]
    legs = [f"{name}{part}" for name in ("hip", "knee") for part in PARTS]
    pairs = [(f"left_{leg}", f"right_{leg}") for leg in legs]
    return Mirror.model_validate({"flip": FLIPPED + signs, "swap": pairs} | changed)


class Gait:
    """Joints of a symmetric gait: the left leg does what the right one did half a cycle ago."""

    middle, phase_step = np.array([0.1, -0.5, -0.1, -0.5, 0.0]), 0.3

    def at(self, phases, rows) -> SimpleNamespace:
        side = np.array([0.0, 0.2, -0.2])[rows]  # of the command, to the left or right
        left, right = np.sin(phases), np.sin(phases + np.pi)
        hips, knees = (left + side, -right + side), (0.5 * left**3, 0.5 * right**3)
        swing = [hips[0], knees[0], hips[1], knees[1], side + 0.1 * np.cos(phases)]
        return SimpleNamespace(joints=self.middle + np.stack(swing, axis=1))


@pytest.mark.parametrize("privileged", [False, True])
def test_inputs_of_the_mirrored_robot_are_the_mirrored_inputs(privileged):
    random, plane = np.random.default_rng(0), mirror()
    image = mirror_inputs(plane, LAYOUT, privileged=privileged)
    observations = random.normal(size=(8, len(LAYOUT.observation))).astype(np.float32)
    observations[:, :4] /= np.linalg.norm(observations[:, :4], axis=1, keepdims=True)
    phases, corrections = random.uniform(0, 6, 8), random.uniform(-1, 1, (8, 5))
    rows, columns = np.array([0, 1, 2, 0, 1, 2, 1, 2]), image.actions.columns
    inputs = policy_inputs(observations, phases, corrections, Gait(), rows)
    order, signs = plane.image_of(LAYOUT.observation)
    mirrored = policy_inputs(
        observations[:, order] * signs,
        phases + np.pi,
        corrections[:, columns] * image.actions.signs,
        Gait(),
        np.array([0, 2, 1])[rows],
    )
    extra = np.zeros((8, PRIVILEGED if privileged else 0), np.float32)
    reflected = image.observations.apply(torch.from_numpy(np.hstack([inputs, extra])))
    assert reflected.shape[1] == input_size(5) + extra.shape[1]
    np.testing.assert_allclose(reflected[:, : input_size(5)], mirrored, atol=1e-5)


def test_what_only_the_critic_sees_is_mirrored():
    random, image = np.random.default_rng(0), mirror_inputs(mirror(), LAYOUT, privileged=True)

    def hidden(velocity, smooth, command, rest) -> np.ndarray:
        robots = SimpleNamespace(
            heading_velocity=lambda: velocity,
            smooth=smooth,
            command=command,
            position=np.column_stack([np.zeros((4, 2)), rest[:, 0]]),
            scales=rest[:, 1:4],
            latency=rest[:, 4],
            noise=rest[:, 5],
        )
        reference = SimpleNamespace(at=lambda *_: SimpleNamespace(height=rest[:, 6]))
        fake = SimpleNamespace(
            _robots=robots, _reference=reference, _phase=0, _command_rows=0, _push=rest[:, 7]
        )
        return Tracking._privileged_inputs(fake)

    flips = np.array([1.0, -1.0, -1.0])
    velocities, rest = random.normal(size=(3, 4, 3)), random.uniform(0.5, 1.5, (4, 8))
    left, right = hidden(*velocities, rest), hidden(*velocities * flips, rest)
    assert left.shape == (4, PRIVILEGED)
    np.testing.assert_allclose(left[:, :3], velocities[0] / np.array(COMMAND_UNITS), rtol=1e-6)
    rows = np.hstack([np.zeros((4, input_size(5)), np.float32), left])
    reflected = image.observations.apply(torch.from_numpy(rows))[:, input_size(5) :]
    np.testing.assert_allclose(reflected, right, rtol=1e-6)


def test_a_mirror_of_front_and_back_is_refused_with_what_to_flip():
    with pytest.raises(BadInput, match=r"augment: mirror.*trunk_x, trunk_z, turn_x, turn_z, comm"):
        mirror_inputs(mirror(flip=["command_x", "trunk_y"]), LAYOUT, privileged=False)


def test_a_joint_whose_partner_is_locked_is_named():
    joints = tuple(name for name in LAYOUT.observation if not name.startswith("right_knee"))
    layout = PolicyLayout(0.02, joints, LAYOUT.actions[:3], {})
    with pytest.raises(BadInput, match=r"swaps 'left_knee' with 'right_knee', which is not used"):
        mirror_inputs(mirror(), layout, privileged=False)
