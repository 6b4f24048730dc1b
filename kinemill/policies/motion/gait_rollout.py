"""Rollouts of a gait policy on its own output, and the linear reference that it has to beat.

The reference predicts the next row as a matrix times the last H rows of joints, the command and a
1. Least squares fit it, and it is rolled out like the policy. Symbols: W windows, H rows of
history, T rows of a rollout, A joints, M numbers of a command, D numbers observed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinemill.policies.motion.gait_policy import GaitPolicy

Policy = Callable[..., tuple[Tensor, ...]]
EVALUATION_ROWS = 25  # rows of a rollout over which errors are averaged
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class LinearGait:
    """A linear model of clips.

    Attributes:
        history: H.
        weights: (H A + M + 1, A).
    """

    history: int
    weights: Floats

    @classmethod
    def fit(cls, clips: Sequence[Floats], commands: Sequence[Floats], history: int) -> "LinearGait":
        """Fit it to joint angles (n, A) of clips, and the command (M,) of each."""
        pairs = [
            (_inputs(windows(clip, history)[:-1], command), clip[history:])
            for clip, command in zip(clips, commands, strict=True)
        ]
        inputs, targets = (np.concatenate(part) for part in zip(*pairs, strict=True))
        return cls(history, np.linalg.lstsq(inputs, targets, rcond=None)[0])

    def rollout(self, rows: Floats, command: Floats, steps: int) -> Floats:
        """Continue rows (W, H, A) under a command (M,) or (W, M) for T steps: (W, T, A)."""
        predictions = list[Floats]()
        for _ in range(steps):
            following = _inputs(rows, command) @ self.weights
            rows = np.concatenate([rows[:, 1:], following[:, None]], axis=1)
            predictions.append(following)
        return np.stack(predictions, axis=1)


def windows(clip: Floats, rows: int) -> Floats:
    """Return all windows of a clip, (n, A) -> (n - rows + 1, rows, A)."""
    return np.lib.stride_tricks.sliding_window_view(clip, rows, axis=0).transpose(0, 2, 1)


def _inputs(rows: Floats, command: Floats) -> Floats:
    count = len(rows)
    commands = np.broadcast_to(command, (count, command.shape[-1]))
    return np.concatenate([rows.reshape(count, -1), commands, np.ones((count, 1))], axis=1)


def carry_of(policy: GaitPolicy, joints: Tensor) -> tuple[Tensor, ...]:
    """Return the carry of a policy after joint angles (B, H - 1, A), rad."""
    selected = joints.index_select(2, policy.moving_targets)
    rows = torch.cat([selected[:, :1], selected], dim=1)
    return rows, torch.ones(len(joints), 1, device=joints.device)


def rollout(
    policy: Policy, first: Tensor, carry: Sequence[Tensor], steps: int, joints: Tensor
) -> Tensor:
    """Return targets (B, T, A), rad, of a robot that reaches each target one step later.

    Args:
        policy: a policy with joints and commands in its observation.
        first: the first observation (B, D).
        carry: the policy's carry before it.
        steps: T.
        joints: columns of the observation that the targets are the next values of, (A,).
    """
    observation = first
    targets = list[Tensor]()
    for _ in range(steps):
        target, *carry = policy(observation, *carry)
        targets.append(target)
        observation = observation.scatter(1, joints.expand(len(target), -1), target)
    return torch.stack(targets, dim=1)


@torch.no_grad()
def rollout_from_history(policy: GaitPolicy, rows: Tensor, first: Tensor, steps: int) -> Tensor:
    """Return targets (W, T, A), rad, that follow measured joint angles (W, H, A), rad.

    Args:
        policy: on any device.
        rows: joint angles; the last row is that of `first`.
        first: the observation (W, D) at the last row.
        steps: T.
    """
    return rollout(policy, first, carry_of(policy, rows[:, :-1]), steps, policy.joint_columns)
