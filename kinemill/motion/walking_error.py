"""How far a policy that goes on from its own output is off a clip, and what has to be beaten.

The reference is linear: the next row is a matrix times the last
H rows of joints, the command and a 1, by least squares, rolled out like the policy. Symbols: W
windows, H rows of history, T rows ahead, A joints, M numbers of a command.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinemill.motion.gait_policy import GaitPolicy
from kinemill.train.policy import PolicyModule

Acting = Callable[..., tuple[Tensor, ...]]
AHEAD = 25  # rows of its own output that a walk is judged over
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class LinearWalk:
    """A linear model of clips.

    Attributes:
        history: H.
        weights: (H A + M + 1, A).
    """

    history: int
    weights: Floats

    @classmethod
    def fit(cls, clips: Sequence[Floats], commands: Sequence[Floats], history: int) -> "LinearWalk":
        """Fit it to joint angles (n, A) of clips, and the command (M,) of each."""
        pairs = [
            (_row(windows(clip, history)[:-1], command), clip[history:])
            for clip, command in zip(clips, commands, strict=True)
        ]
        shown, wanted = (np.concatenate(part) for part in zip(*pairs, strict=True))
        return cls(history, np.linalg.lstsq(shown, wanted, rcond=None)[0])

    def walk(self, known: Floats, command: Floats, steps: int) -> Floats:
        """Go on from (W, H, A) under a command (M,) or (W, M) for T steps: (W, T, A)."""
        said = list[Floats]()
        for _ in range(steps):
            following = _row(known, command) @ self.weights
            known = np.concatenate([known[:, 1:], following[:, None]], axis=1)
            said.append(following)
        return np.stack(said, axis=1)


def windows(clip: Floats, rows: int) -> Floats:
    """Return all windows of a clip, (n, A) -> (n - rows + 1, rows, A)."""
    return np.lib.stride_tricks.sliding_window_view(clip, rows, axis=0).transpose(0, 2, 1)


def _row(known: Floats, command: Floats) -> Floats:
    count = len(known)
    told = np.broadcast_to(command, (count, command.shape[-1]))
    return np.concatenate([known.reshape(count, -1), told, np.ones((count, 1))], axis=1)


def latest_rows(policy: GaitPolicy, joints: Tensor) -> tuple[Tensor, ...]:
    """Return the carry of a policy that has seen joint angles (B, H - 1, A) before, rad."""
    moving = joints.index_select(2, policy.moving)
    rows = torch.cat([moving[:, :1], moving], dim=1)
    return rows, torch.ones(len(joints), 1, device=joints.device)


def walk_on(
    policy: Acting, first: Tensor, carry: Sequence[Tensor], steps: int, joints: Tensor
) -> Tensor:
    """Return targets (B, T, A) of a robot that is where it was told to be a step later.

    Args:
        policy: a policy, with joints and commands in its observation (B, D).
        first: the observation that it starts from.
        carry: of before.
        steps: T.
        joints: columns of the observation that the targets are the next values of, (A,).
    """
    observation, said = first, list[Tensor]()
    for _ in range(steps):
        target, *carry = policy(observation, *carry)
        said.append(target)
        observation = observation.scatter(1, joints.expand(len(target), -1), target)
    return torch.stack(said, dim=1)


@torch.no_grad()
def predicted(policy: GaitPolicy, known: Tensor, first: Tensor, steps: int) -> Tensor:
    """Return what a policy walks (W, T, A), from joint angles (W, H, A) that it saw.

    Args:
        policy: on any device.
        known: joints, the last row that of `first`.
        first: the observation (W, D) at the last of these rows.
        steps: T.
    """
    return walk_on(policy, first, latest_rows(policy, known[:, :-1]), steps, policy.joint_columns)


@torch.no_grad()
def alone(policy: PolicyModule, first: Tensor, steps: int, joints: Any) -> Tensor:
    """Return what a policy walks (B, T, A) from observations (B, D) at which its episodes begin."""
    return walk_on(policy, first, policy.initial_carry(len(first)), steps, joints)
