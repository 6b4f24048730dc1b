"""Gait policy: estimates phase and gait from the last rows and returns the next joint targets.

1. Phase and latent z of the family (`motion.gaits`) are fitted to the last H rows of joint
   angles: for each of N phases a ridge regression with the latent that the command predicts as
   prior mean, then a parabola through the best phase and its neighbors.
2. The target is the gait at the next phase, plus a learned share of the present deviation from the
   gait, plus a bounded correction by a network. The network sees phase, gait, command and the
   deviations of the latest rows.
3. Before the first step the history is the gait that the command predicts.

Symbols: B batch, H rows of history, J joints that move, A targets, M numbers of a command, R
directions of the family, F terms of its Fourier series, N phases, φ phase, z latent of the family.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kinemill.policies.environments.graph import clipped
from kinemill.policies.motion.cycles import fourier
from kinemill.policies.motion.gaits import Floats, Gaits
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.train.policy import PolicyModule

LATEST = 4  # rows whose deviations from the gait are inputs of the network
_PHASES = 96
_MAX_LATENT = 4.0  # bound of each latent, in standard deviations of the clips
_MAX_EXPECTED = 2.5  # the same for a latent that a command predicts
_MAX_CORRECTION = 1.0  # in units of the joint's scale
# Difference of two costs that rounding of the rows to float32 may reverse, relative to the largest.
_TIE = 2e-6


@dataclass(frozen=True)
class GaitSizes:
    """Sizes of the tensors, and the columns of the observation.

    Attributes:
        history: H.
        joints: columns of the observation whose next values the targets are, (A,).
        commands: columns of the observation that are commands, (M,).
        moving_targets: indices of the targets that move, (J,).
        terms: F.
        directions: R.
        hidden: units of each of the network's two layers.
    """

    history: int
    joints: tuple[int, ...]
    commands: tuple[int, ...]
    moving_targets: tuple[int, ...]
    terms: int
    directions: int
    hidden: int


@dataclass(frozen=True)
class ClipScale:
    """Statistics of the training clips.

    Attributes:
        command_mean: (M,) in units of the commands.
        command_std: (M,); 1 for a constant command.
        rest_mean: (A,) mean joint angles, rad.
    """

    command_mean: NDArray[np.float64]
    command_std: NDArray[np.float64]
    rest_mean: NDArray[np.float64]


class GaitPolicy(PolicyModule):
    """The policy of this module; the family and its scales are buffers.

    Args:
        layout: observations: joints and commands; actions: joint targets.
        sizes: sizes of the tensors.
    """

    joint_columns: Tensor
    command_columns: Tensor
    moving_targets: Tensor
    command_mean: Tensor
    command_std: Tensor
    regression: Tensor
    phase_step: Tensor
    rest_targets: Tensor
    scatter: Tensor
    mean: Tensor
    directions: Tensor
    joint_scale: Tensor
    keys: Tensor
    gram: Tensor
    inverse: Tensor
    offset: Tensor
    last_rows: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, layout: PolicyLayout, sizes: GaitSizes) -> None:
        super().__init__(layout)
        self.sizes = sizes
        self._takes_other = False
        h = sizes.history
        j = len(sizes.moving_targets)
        r = sizes.directions
        m = len(sizes.commands)
        f = sizes.terms
        a = len(layout.actions)
        columns = {
            "joint_columns": sizes.joints,
            "command_columns": sizes.commands,
            "moving_targets": sizes.moving_targets,
        }
        for name, values in columns.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.long))
        shapes = {
            "command_mean": (m,), "command_std": (m,), "regression": (m + 1, r), "phase_step": (),
            "rest_targets": (a,), "scatter": (j, a), "mean": (f, j), "directions": (r, f, j),
            "joint_scale": (j,), "keys": (_PHASES * (r + 1), h * j), "gram": (_PHASES, r, r),
            "inverse": (_PHASES, r, r), "offset": (_PHASES, r + 1),
            "last_rows": (_PHASES, r + 1, j), "low": (a,), "high": (a,),
        }  # fmt: skip
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape))
        self.share = nn.Parameter(torch.zeros(j))
        inputs = LATEST * j + j + 4 + m
        self.network = nn.Sequential(
            nn.Linear(inputs, sizes.hidden),
            nn.Tanh(),
            nn.Linear(sizes.hidden, sizes.hidden),
            nn.Tanh(),
            nn.Linear(sizes.hidden, j),
        )

    def with_other_ties(self) -> "GaitPolicy":
        """Return a copy that decides ties between phases differently."""
        other = copy.deepcopy(self)
        other._takes_other = True
        return other

    def load_gaits(self, gaits: Gaits, scale: ClipScale) -> None:
        """Set the buffers from a family of gaits, and shrink the network's first output."""
        gaits = gaits.widened(self.sizes.directions)
        joint_scale = gaits.rest + 0.1 * gaits.rest.mean() + 1e-5
        scatter = np.eye(len(self.layout.actions))[list(self.sizes.moving_targets)]
        limits = [self.layout.limits.get(name, (-1e9, 1e9)) for name in self.layout.actions]
        values = {
            "regression": gaits.regression, "phase_step": 2.0 * math.pi / gaits.cycle,
            "joint_scale": joint_scale, "mean": _cosines_first(gaits.mean),
            "directions": _cosines_first(gaits.directions), "scatter": scatter,
            "rest_targets": scale.rest_mean * (1.0 - scatter.sum(axis=0)),
            "command_mean": scale.command_mean, "command_std": scale.command_std,
            "low": [low for low, _ in limits], "high": [high for _, high in limits],
            **_search_tables(gaits, joint_scale, self.sizes.history),
        }  # fmt: skip
        with torch.no_grad():
            for name, value in values.items():
                self.get_buffer(name).copy_(torch.as_tensor(np.asarray(value)))
            last = self.network[-1]
            assert isinstance(last, nn.Linear)
            last.weight.mul_(0.1)  # training starts near the gaits of the family
            last.bias.zero_()

    @property
    def carry_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the joint history (H, J), rad, and of the step count (1,), at most 1."""
        return (self.sizes.history, len(self.sizes.moving_targets)), (1,)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return targets (B, A), rad, and the carry: (B, D), (B, H, J), (B, 1) -> the same."""
        observation, rows, step_count = tensors
        command = observation.index_select(1, self.command_columns)
        scaled_command = (command - self.command_mean) / self.command_std
        joints = observation.index_select(1, self.joint_columns)
        joints = joints.index_select(1, self.moving_targets)
        expected = self.expected_latent(command)
        rows = torch.cat([rows[:, 1:], joints.unsqueeze(1)], dim=1)
        has_history = step_count.unsqueeze(2) > 0.5
        rows = torch.where(has_history, rows, self._initial_history(joints, expected))
        phase, latent = self._fit_phase_and_latent(rows, expected)
        steps = torch.arange(1 - LATEST, 2, device=rows.device, dtype=rows.dtype) * self.phase_step
        gait = self.curve(phase + steps, latent)  # the latest rows, and the next
        deviation = (rows[:, -LATEST:] - gait[:, :-1]) / self.joint_scale
        angles = torch.cat([phase, 2.0 * phase], dim=1)
        rate = (0.1 * (gait[:, -1] - gait[:, -2]) / self.joint_scale).tanh()
        flat = deviation.reshape(-1, LATEST * len(self.sizes.moving_targets))
        inputs = [flat.tanh(), rate, angles.cos(), angles.sin(), scaled_command.tanh()]
        correction = torch.tanh(self.network(torch.cat(inputs, dim=1))) * _MAX_CORRECTION
        kept_deviation = torch.sigmoid(self.share) * deviation[:, -1]
        target = gait[:, -1] + (kept_deviation + correction) * self.joint_scale
        return self.bounded_targets(target), rows, count_step(step_count)

    def expected_latent(self, command: Tensor) -> Tensor:
        """Return z (B, R) predicted from a command (B, M), in the units of the task."""
        scaled = (command - self.command_mean) / self.command_std
        return _bounded(scaled @ self.regression[:-1] + self.regression[-1], _MAX_EXPECTED)

    def advance(self, phase: Tensor, latent: Tensor) -> Tensor:
        """Return φ (B, 1), rad, one row later, below π: float32 would lose precision over hours."""
        del latent
        phase = phase + self.phase_step
        return torch.where(phase > torch.pi, phase - 2.0 * torch.pi, phase)

    def select_latent(self, command: Tensor, phase: Tensor, motion: Tensor) -> Tensor:
        """Return z (B, R) of commands (B, M): a gait changes at any phase."""
        del phase, motion
        return self.expected_latent(command)

    def tracked_command(self, command: Tensor, latent: Tensor) -> Tensor:
        """Return the commands (B, M) themselves."""
        del latent
        return command

    def motion_of(self, latent: Tensor, motion: Tensor) -> Tensor:
        """Return 1 (B, 1): under another command the phase continues."""
        del latent
        return count_step(motion)

    def bounded_targets(self, joints: Tensor) -> Tensor:
        """Return targets of all joints (B, A) within limits, from those that move (B, J), rad.

        Joints that do not move keep their mean angle.
        """
        return clipped(self.rest_targets + joints @ self.scatter, self.low, self.high)

    def curve(self, phase: Tensor, latent: Tensor) -> Tensor:
        """Return joint angles of gaits: φ (B, T), z (B, R) -> (B, T, J), rad."""
        orders = torch.arange(1, (self.sizes.terms + 1) // 2, device=phase.device)
        angles = phase.unsqueeze(2) * orders
        waves = torch.cat([angles.cos(), angles.sin()], dim=2)
        series = self.mean + (latent @ self.directions.flatten(1)).view(-1, *self.mean.shape)
        return series[:, :1] + waves @ series[:, 1:]

    def _initial_history(self, joints: Tensor, latent: Tensor) -> Tensor:
        """Return rows (B, H, J) up to joints (B, J): the gait at the nearest phase, rad."""
        phase = self.phase_of(joints, latent)
        steps = torch.arange(1 - self.sizes.history, 1, device=joints.device, dtype=joints.dtype)
        rows = self.curve(phase + steps * self.phase_step, latent)
        return torch.cat([rows[:, :-1], joints.unsqueeze(1)], dim=1)

    def phase_of(self, joints: Tensor, latent: Tensor) -> Tensor:
        """Return φ (B, 1), rad, at which the gait z (B, R) is nearest to joints (B, J), rad.

        Double precision: the squared distances are large and differ little between phases.
        """
        mean = self.last_rows[:, 0].double()
        directions = self.last_rows[:, 1:].transpose(0, 1).flatten(1).double()
        expected = mean + (latent.double() @ directions).view(-1, *mean.shape)
        deviation = (joints.double().unsqueeze(1) - expected) / self.joint_scale.double()
        return self._refined_minimum((deviation**2).sum(dim=2))[0].to(joints.dtype)

    def _fit_phase_and_latent(self, rows: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
        """Return φ (B, 1) of the last of rows (B, H, J), and z (B, R), regularized to `expected`.

        Double precision, as in `phase_of`.
        """
        offset = self.offset.double()
        gram = self.gram.double()
        prior = expected.double()
        scaled = (rows.double() - self.mean[0].double()) / self.joint_scale.double()
        flat = scaled.reshape(-1, self.keys.shape[1])
        products = (flat @ self.keys.double().T).view(-1, *offset.shape) - offset
        # Deviation d = y - m from the mean gait at z = 0: |d|² without |y|², and A'd.
        square = -2.0 * products[:, :, 0] - offset[:, 0]
        slope = products[:, :, 1:]
        # Shift the quadratic |d - A z|² from z = 0 to the prior mean.
        shift = (prior @ gram.flatten(0, 1).T).view(-1, *gram.shape[:2])
        square = square - (2.0 * slope - shift).matmul(prior.unsqueeze(2)).squeeze(2)
        slope = slope - shift
        # Ridge solution: change = z - prior = (A'A + I)⁻¹ A'd lowers the cost by slope · change.
        change = (self.inverse.double() * slope.unsqueeze(2)).sum(dim=3)
        phase, weights = self._refined_minimum(square - (slope * change).sum(dim=2))
        latent = prior + (weights.unsqueeze(2) * change).sum(dim=1)
        return phase.to(rows.dtype), _bounded(latent, _MAX_LATENT).to(rows.dtype)

    def _refined_minimum(self, costs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the phase (B, 1), rad, of the least of costs (B, N), and interpolation weights.

        The weights are (B, N). A parabola through the least cost and its neighbors refines the
        phase; NaN stays NaN.
        """
        at = costs.argmin(dim=1, keepdim=True)
        if self._takes_other:
            at = _tied_phase(costs, at)
        around = [costs.gather(1, (at + by + _PHASES) % _PHASES) for by in (-1, 0, 1)]
        bend = around[0] - 2.0 * around[1] + around[2]
        part = 0.5 * (around[0] - around[2]) / torch.where(bend > 1e-6, bend, 1.0)
        part = _bounded(part, 0.5)
        weights = torch.relu(1.0 - _distance(costs, at + part).abs())
        return (at + part) * (2.0 * math.pi / _PHASES), weights + 0.0 * part


def _cosines_first(series: Floats) -> Floats:
    """Return terms (..., F, J) with all cosines before all sines, the order of `curve`."""
    return np.concatenate([series[..., :1, :], series[..., 1::2, :], series[..., 2::2, :]], axis=-2)


def _search_tables(gaits: Gaits, joint_scale: Floats, history: int) -> Mapping[str, Floats]:
    """Return the constants of the search over phases, in units of `joint_scale` (J,)."""
    harmonics = (len(gaits.mean) - 1) // 2
    steps = np.arange(1 - history, 1) * 2.0 * np.pi / gaits.cycle
    phases = 2.0 * np.pi * np.arange(_PHASES) / _PHASES
    terms = fourier(phases[:, None] + steps, harmonics)  # (N, H, F)
    family = np.concatenate([gaits.mean[None], gaits.directions])
    curves = np.einsum("nhf,rfj->nrhj", terms, family)  # (N, R + 1, H, J), the mean first
    last_rows = curves[:, :, -1]
    curves[:, 0] -= gaits.mean[0]
    keys = (curves / joint_scale).reshape(_PHASES, len(family), -1)
    gram = keys[:, 1:] @ keys[:, 1:].transpose(0, 2, 1)
    prior = np.eye(gram.shape[1])  # the latents have unit variance
    return {
        "keys": keys.reshape(_PHASES * len(family), -1),
        "gram": gram,
        "inverse": np.linalg.inv(gram + prior),
        "offset": np.einsum("nrk,nk->nr", keys, keys[:, 0]),
        "last_rows": last_rows,
    }


def _distance(costs: Tensor, at: Tensor) -> Tensor:
    """Return how many phases each of costs (B, N) is ahead of `at` (B, 1), around the cycle."""
    indices = torch.arange(_PHASES, device=costs.device)
    return (indices - at + _PHASES // 2 + _PHASES) % _PHASES - _PHASES // 2


def _tied_phase(costs: Tensor, at: Tensor) -> Tensor:
    """Return the farthest index (B, 1) whose cost of (B, N) ties with the least, which is at `at`.

    Neighbors give the same phase, so they are no tie.
    """
    gap = costs - costs.gather(1, at)
    is_tied = gap <= _TIE * costs.abs().amax(dim=1, keepdim=True)
    away = torch.where(is_tied, _distance(costs, at).abs(), 0)
    other = away.argmax(dim=1, keepdim=True)
    return torch.where(away.gather(1, other) > 1, other, at)


def _bounded(values: Tensor, bound: float) -> Tensor:
    """Return values clamped to [-bound, bound]; NaN stays NaN, unlike `clamp` of some runtimes."""
    values = torch.where(values > bound, bound, values)
    return torch.where(values < -bound, -bound, values)


def count_step(step_count: Tensor) -> Tensor:
    """Return 1 after a first step, computed from the carry: graphs do not return constants."""
    return torch.where(step_count > 0.5, step_count, step_count + 1.0)
