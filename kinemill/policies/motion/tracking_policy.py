"""Tracking policy: a gait or clip at an advancing phase, plus a correction by a network.

The phase of a gait starts where the family fits the first joints best, that of a clip at its start;
then it advances at the rate of the clips. Symbols: B batch, J joints, φ phase.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from kinemill.policies.environments.graph import clipped
from kinemill.policies.environments.legged.body import columns
from kinemill.policies.motion.clip_reference import ClipFamily
from kinemill.policies.motion.gait_policy import GaitPolicy
from kinemill.policies.motion.motion_tracking import REACH
from kinemill.policies.motion.policy_inputs import network_inputs
from kinemill.policies.rl.networks import Core
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.train.policy import PolicyModule


class TrackingPolicy(PolicyModule):
    """Targets of the joints from attitude, rates, joints and command.

    Args:
        layout: observations as `LeggedRobots.observe` returns them; actions: joint targets.
        family: the gaits or clips of these joints, a module.
        core: the network of the corrections, from `policy_inputs` to (B, J).
        command_step: largest change of each part of the command in a time step: a gait that jumps
            with its command can make a robot fall. Empty: the policy takes commands as they are.
    """

    family: GaitPolicy | ClipFamily

    def __init__(
        self,
        layout: PolicyLayout,
        family: GaitPolicy | ClipFamily,
        core: Core,
        command_step: Sequence[float] = (),
    ) -> None:
        super().__init__(layout)
        self.family = family
        self.core = core
        step = torch.tensor(list(command_step), dtype=torch.float32)
        self.register_buffer("command_step", step, persistent=False)
        self._joints, _, self._command = columns(len(layout.actions))

    @property
    def carry_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of phase, motion (0 before the first step, see `locate`), and last correction.

        If the rate of commands is limited, the command of the last step follows.
        """
        shapes = (1,), (1,), (len(self.layout.actions),)
        return (*shapes, (3,)) if len(self.get_buffer("command_step")) else shapes

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return targets (B, J), rad, and the carry."""
        observation, phase, motion, correction, *command = tensors
        if command:
            command = [self._limited(observation[:, self._command], command[0], motion)]
            observation = torch.cat([observation[:, : self._command.start], *command], dim=1)
        latent, phase, motion = self.locate(observation, phase, motion)
        next_joints = self.family.curve(phase + self.family.phase_step, latent)[:, 0]
        tracked = self.family.tracked_command(observation[:, self._command], latent)
        inputs = network_inputs(
            observation, tracked, phase, correction, next_joints, self.family.mean[0]
        )
        correction = self.core(inputs)[0]
        correction = clipped(correction, -1.0, 1.0)
        phase = self.family.advance(phase, latent)
        target = self.family.curve(phase, latent)[:, 0] + REACH * correction
        return self.family.bounded_targets(target), phase, motion, correction, *command

    def with_other_ties(self) -> "TrackingPolicy | None":
        """Return a copy whose gaits start at another phase in ties; None for clips."""
        if not isinstance(self.family, GaitPolicy):
            return None
        other = copy.deepcopy(self)
        other.family = self.family.with_other_ties()
        return other

    def _limited(self, command: Tensor, last: Tensor, motion: Tensor) -> Tensor:
        """Return the command (B, 3) of this step; the first one is taken as it is."""
        step = self.get_buffer("command_step")
        change = clipped(command - last, -step, step)
        return torch.where(motion < 0.5, command, last + change)

    def locate(
        self, observation: Tensor, phase: Tensor, motion: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return latent (B, R), phase (B, 1) and motion (B, 1) that robots track.

        Args:
            observation: (B, D).
            phase: (B, 1) rad, of the last step.
            motion: (B, 1), the number of the gait or clip that `phase` belongs to; 0: none yet.
        """
        latent = self.family.select_latent(observation[:, self._command], phase, motion)
        start = self.family.phase_of(observation[:, self._joints], latent)
        selected = self.family.motion_of(latent, motion)
        phase = torch.where((motion - selected).abs() < 0.5, phase, start)
        return latent, phase, selected
