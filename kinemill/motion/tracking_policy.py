"""A policy that tracks a gait in physics: the gait at a phase that runs on, and what it adds to it.

The phase begins where the family of gaits fits the first joints best and then runs at the clips'
pace. What the network sees is worked out here for both sides: in numpy for the environment it
learns in (`see`), in torch for what is exported. Symbols: B batch, J leg joints, φ phase.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinemill.motion.gait_policy import GaitPolicy, counted
from kinemill.motion.gait_reference import Reference
from kinemill.motion.motion_tracking import REACH
from kinemill.rl.networks import Core
from kinemill.train.policy import PolicyLayout, PolicyModule

Floats = NDArray[np.floating]
WIDTH = 3 + 3 + 10 + 10 + 3 + 2 + 10 + 10  # numbers that the network sees, as in `see`
_RATES, _TURNS = 0.1, 0.25  # what rates of joints and of the trunk are multiplied by
_WIDE = (0.1, 0.1, 0.5)  # what a command is divided by: m/s, m/s, rad/s


class TrackingPolicy(PolicyModule):
    """Targets of leg joints from attitude, rates, joints and command.

    Args:
        layout: numbers observed as `Walker` gives them; actions: targets of the leg joints.
        family: the gaits, of just these joints.
        core: what adds to them, from what `see` gives to (B, J).
    """

    def __init__(self, layout: PolicyLayout, family: GaitPolicy, core: Core) -> None:
        super().__init__(layout)
        self.family, self.core = family, core

    @property
    def carry_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Phase, whether it is known, and what was added last."""
        return (1,), (1,), (len(self.layout.actions),)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return targets (B, J), rad, and the carry."""
        observation, phase, begun, added = tensors
        joints, command = observation[:, 7:17], observation[:, 27:30]
        place = self.family.expected(command)
        phase = torch.where(begun > 0.5, phase, self.family.phase_of(joints, place))
        seen = torch.cat([_body(observation), *self._gait(observation, phase, added, place)], dim=1)
        more = self.core(seen)[0]
        more = torch.where(more > 1.0, 1.0, more)
        more = torch.where(more < -1.0, -1.0, more)
        phase = phase + self.family.pace
        target = self.family.curve(phase, place)[:, 0] + REACH * more
        phase = torch.where(phase > torch.pi, phase - 2.0 * torch.pi, phase)  # exact after hours
        return self.family.within(target), phase, counted(begun), more

    def _gait(self, observation: Tensor, phase: Tensor, added: Tensor, place: Tensor) -> Any:
        following = self.family.curve(phase + self.family.pace, place)[:, 0]
        off = following - self.family.mean[0]
        wide = observation.new_tensor(_WIDE)
        joints = observation[:, 7:17] - self.family.mean[0]
        rates = _RATES * observation[:, 17:27]
        return joints, rates, observation[:, 27:30] / wide, phase.cos(), phase.sin(), added, off


def _body(observation: Tensor) -> Tensor:
    """Return which way is up, and the trunk's rates, both as the trunk sees them: (B, 6)."""
    x, y, z, w = observation[:, :4].unbind(dim=1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)], dim=1),
        torch.stack([2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)], dim=1),
        torch.stack([2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)], dim=1),
    ]
    turn = observation[:, 4:7]
    up = torch.stack([row[:, 2] for row in rows], dim=1)
    return torch.cat([up, *(_TURNS * (row * turn).sum(1, keepdim=True) for row in rows)], dim=1)


def see(
    observed: Floats, phases: Floats, added: Floats, reference: Reference, which: Any
) -> NDArray[np.float32]:
    """Return what the network sees of observations (B, 30), as `TrackingPolicy` works it out.

    Args:
        observed: as the walker gives them.
        phases: (B,) rad.
        added: (B, J) last, in `REACH`.
        reference: the gaits.
        which: (B,) rows of its commands.
    """
    x, y, z, w = observed[:, :4].astype(float).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    to_world = np.moveaxis(np.array(rows), 2, 0)
    following = reference.at(phases + reference.pace, which).joints
    parts = [
        to_world[:, 2],
        _TURNS * np.einsum("bji,bj->bi", to_world, observed[:, 4:7]),
        observed[:, 7:17] - reference.middle,
        _RATES * observed[:, 17:27],
        observed[:, 27:30] / np.array(_WIDE),
        np.cos(phases)[:, None],
        np.sin(phases)[:, None],
        added,
        following - reference.middle,
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)
