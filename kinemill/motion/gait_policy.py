"""A policy that walks on: where in which gait the robot is, and the joint angles of the next row.

It looks at the last H rows of joint angles and finds the phase and the gait of a family
(`kinemill.motion.gaits`) that explain them best: for each of N phases that is a ridge regression
around what the command lets expect, and the best of the N is refined by a parabola. The next target
is the gait at the next phase, plus a share of what the robot is off it now, plus a bounded
correction by a network that sees phase, gait, command and the latest rows. Before there is a
history, the gait that the command lets expect stands for it.

Symbols: B batch, H rows of history, J joints that move, A targets, M numbers of a command, R
directions of the family, F terms of its Fourier series, N phases, φ phase, z place in the family.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kinemill.motion.gaits import Gaits
from kinemill.train.policy import PolicyLayout, PolicyModule
from kinemill.validate.cycles import fourier

LATEST = 4  # rows of which the network sees how far they are off the gait
_PHASES = 96
_FARTHEST = 4.0  # spreads of the clips that z may be off the mean
_GUESSED = 2.5  # the same of what a command lets expect
_BOUND = 1.0  # of a correction, in what the family leaves over of a joint


@dataclass(frozen=True)
class GaitSizes:
    """Sizes of a policy's tensors, and which numbers it observes are what.

    Attributes:
        history: H.
        joints: columns of the observation that each target is the next value of, (A,).
        commands: columns of the observation that are commands, (M,).
        moving: which of the targets move, (J,).
        terms: F.
        directions: R.
        hidden: units of each of the network's two layers.
    """

    history: int
    joints: tuple[int, ...]
    commands: tuple[int, ...]
    moving: tuple[int, ...]
    terms: int
    directions: int
    hidden: int

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "GaitSizes":
        """Read it back from its JSON object."""
        given: dict[str, Any] = dict(found)
        given |= {key: tuple(given[key]) for key in ("joints", "commands", "moving")}
        return cls(**given)


class GaitPolicy(PolicyModule):
    """A policy as the top of this file says; its scales and the family are among its weights.

    Args:
        layout: numbers observed: joints, commands; actions: targets of joints.
        sizes: of its tensors.
    """

    joint_columns: Tensor
    command_columns: Tensor
    moving: Tensor
    command_mean: Tensor
    command_std: Tensor
    guess: Tensor
    pace: Tensor
    still: Tensor
    which: Tensor
    mean: Tensor
    directions: Tensor
    spread: Tensor
    keys: Tensor
    gram: Tensor
    inverse: Tensor
    offset: Tensor
    now: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, layout: PolicyLayout, sizes: GaitSizes) -> None:
        super().__init__(layout)
        self.sizes = sizes
        h, j, r = sizes.history, len(sizes.moving), sizes.directions
        m, f, a = len(sizes.commands), sizes.terms, len(layout.actions)
        for name, places in (("joint_columns", sizes.joints), ("command_columns", sizes.commands)):
            self.register_buffer(name, torch.tensor(places, dtype=torch.long))
        self.register_buffer("moving", torch.tensor(sizes.moving, dtype=torch.long))
        shapes = {
            "command_mean": (m,), "command_std": (m,), "guess": (m + 1, r), "pace": (),
            "still": (a,), "which": (j, a), "mean": (f, j), "directions": (r, f, j), "spread": (j,),
            "keys": (_PHASES * (r + 1), h * j), "gram": (_PHASES, r, r), "inverse": (_PHASES, r, r),
            "offset": (_PHASES, r + 1), "now": (_PHASES, r + 1, j), "low": (a,), "high": (a,),
        }  # fmt: skip
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape))
        self.share = nn.Parameter(torch.zeros(j))
        seen = LATEST * j + j + 4 + m
        self.network = nn.Sequential(
            nn.Linear(seen, sizes.hidden),
            nn.Tanh(),
            nn.Linear(sizes.hidden, sizes.hidden),
            nn.Tanh(),
            nn.Linear(sizes.hidden, j),
        )

    def adopt(self, gaits: Gaits, scale: dict[str, Any]) -> None:
        """Take over a family of gaits and what numbers are scaled by.

        Args:
            gaits: of the joints that move, in R directions or fewer.
            scale: `command_mean`, `command_std` (M,), `rest_mean` (A,): angles of joints at rest.
        """
        gaits = gaits.widened(self.sizes.directions)
        spread = gaits.rest + 0.1 * gaits.rest.mean() + 1e-5
        tables = _tables(gaits, spread, self.sizes.history)
        which = np.eye(len(self.layout.actions))[list(self.sizes.moving)]
        known = {
            "guess": gaits.guess, "pace": 2.0 * math.pi / gaits.cycle, "spread": spread,
            "mean": _sorted(gaits.mean), "directions": _sorted(gaits.directions), "which": which,
            "still": scale["rest_mean"] * (1.0 - which.sum(axis=0)), **tables,
            "command_mean": scale["command_mean"], "command_std": scale["command_std"],
        }  # fmt: skip
        ends = [self.layout.limits.get(name, (-1e9, 1e9)) for name in self.layout.actions]
        known |= {"low": [low for low, _ in ends], "high": [high for _, high in ends]}
        with torch.no_grad():
            for name, value in known.items():
                getattr(self, name).copy_(torch.as_tensor(np.asarray(value)))
            last: Any = self.network[-1]
            last.weight.mul_(0.1)  # the family alone is what it starts from
            last.bias.zero_()

    @property
    def carry_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Rows of joint angles (H, J), and how many steps were made, 1 at most."""
        return (self.sizes.history, len(self.sizes.moving)), (1,)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return targets (B, A), rad, and the carry: (B, D), (B, H, J), (B, 1) -> the same."""
        observation, rows, begun = tensors
        told = observation.index_select(1, self.command_columns)
        command = (told - self.command_mean) / self.command_std
        joints = observation.index_select(1, self.joint_columns).index_select(1, self.moving)
        expected = self.expected(told)
        rows = torch.cat([rows[:, 1:], joints.unsqueeze(1)], dim=1)
        known = begun.unsqueeze(2) > 0.5
        rows = torch.where(known, rows, self._history_for(joints, expected))
        phase, place = self._explained(rows, expected)
        back = torch.arange(1 - LATEST, 2, device=rows.device, dtype=rows.dtype) * self.pace
        gait = self.curve(phase + back, place)  # the latest rows, and the next
        off = (rows[:, -LATEST:] - gait[:, :-1]) / self.spread
        turns = torch.cat([phase, 2.0 * phase], dim=1)
        pace = (0.1 * (gait[:, -1] - gait[:, -2]) / self.spread).tanh()
        off_rows = off.reshape(-1, LATEST * len(self.sizes.moving))
        seen = [off_rows.tanh(), pace, turns.cos(), turns.sin(), command.tanh()]
        learned = torch.tanh(self.network(torch.cat(seen, dim=1))) * _BOUND
        stays = torch.sigmoid(self.share) * off[:, -1]
        target = gait[:, -1] + (stays + learned) * self.spread
        return self.within(target), rows, count_step(begun)

    def expected(self, command: Tensor) -> Tensor:
        """Return z (B, R) that a command (B, M), in its units, lets expect."""
        scaled = (command - self.command_mean) / self.command_std
        return _within(scaled @ self.guess[:-1] + self.guess[-1], _GUESSED)

    def within(self, moving: Tensor) -> Tensor:
        """Return targets of all joints (B, A) within limits; those at rest stay where they are."""
        every = self.still + moving @ self.which
        every = torch.where(every < self.low, self.low, every)
        return torch.where(every > self.high, self.high, every)

    def curve(self, phase: Tensor, place: Tensor) -> Tensor:
        """Return joint angles of gaits: φ (B, T), z (B, R) -> (B, T, J), rad."""
        orders = torch.arange(1, (self.sizes.terms + 1) // 2, device=phase.device)
        turned = phase.unsqueeze(2) * orders
        waves = torch.cat([turned.cos(), turned.sin()], dim=2)
        series = self.mean + (place @ self.directions.flatten(1)).view(-1, *self.mean.shape)
        return series[:, :1] + waves @ series[:, 1:]

    def _history_for(self, joints: Tensor, place: Tensor) -> Tensor:
        """Return rows (B, H, J) before the first one (B, J), at the phase that fits that best."""
        phase = self.phase_of(joints, place)
        rows = self.sizes.history
        back = torch.arange(1 - rows, 1, device=joints.device, dtype=joints.dtype) * self.pace
        made = self.curve(phase + back, place)
        return torch.cat([made[:, :-1], joints.unsqueeze(1)], dim=1)

    def phase_of(self, joints: Tensor, place: Tensor) -> Tensor:
        """Return φ (B, 1) at which the gait z (B, R) is nearest to joints that move (B, J).

        In double precision, as what differs little between phases is a sum of what is large.
        """
        now, ways = self.now[:, 0].double(), self.now[:, 1:].transpose(0, 1).flatten(1).double()
        expected = now + (place.double() @ ways).view(-1, *now.shape)
        off = (joints.double().unsqueeze(1) - expected) / self.spread.double()
        return _lowest((off**2).sum(dim=2))[0].to(joints.dtype)

    def _explained(self, rows: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
        """Return φ (B, 1) of the last of rows (B, H, J), and z (B, R), expected near `expected`.

        In double precision, as `phase_of`.
        """
        offset, gram, near = self.offset.double(), self.gram.double(), expected.double()
        scaled = (rows.double() - self.mean[0].double()) / self.spread.double()
        seen = scaled.reshape(-1, self.keys.shape[1])
        found = (seen @ self.keys.double().T).view(-1, *offset.shape) - offset
        # With d = y - m: |d|² but for |y|², then A'd, both at z = 0; then moved to z expected.
        square, slope = -2.0 * found[:, :, 0] - offset[:, 0], found[:, :, 1:]
        moved = (near @ gram.flatten(0, 1).T).view(-1, *gram.shape[:2])
        square = square - (2.0 * slope - moved).matmul(near.unsqueeze(2)).squeeze(2)
        slope = slope - moved
        change = (self.inverse.double() * slope.unsqueeze(2)).sum(dim=3)
        phase, weights = _lowest(square - (slope * change).sum(dim=2))
        place = near + (weights.unsqueeze(2) * change).sum(dim=1)
        return phase.to(rows.dtype), _within(place, _FARTHEST).to(rows.dtype)


def _sorted(series: Any) -> Any:
    """Return terms (..., F, J) with all cosines before all sines, as the network works them out."""
    return np.concatenate([series[..., :1, :], series[..., 1::2, :], series[..., 2::2, :]], axis=-2)


def _tables(gaits: Gaits, spread: Any, history: int) -> dict[str, Any]:
    """Return what the search over phases needs, worked out once, in units of `spread` (J,)."""
    harmonics = (len(gaits.mean) - 1) // 2
    back = np.arange(1 - history, 1) * 2.0 * np.pi / gaits.cycle
    phases = 2.0 * np.pi * np.arange(_PHASES) / _PHASES
    terms = fourier(phases[:, None] + back, harmonics)  # (N, H, F)
    family = np.concatenate([gaits.mean[None], gaits.directions])
    curves = np.einsum("nhf,rfj->nrhj", terms, family)  # (N, R + 1, H, J), the mean first
    now = curves[:, :, -1]
    curves[:, 0] -= gaits.mean[0]
    keys = (curves / spread).reshape(_PHASES, len(family), -1)
    gram = keys[:, 1:] @ keys[:, 1:].transpose(0, 2, 1)
    prior = np.eye(gram.shape[1])
    cross = np.einsum("nrk,nk->nr", keys, keys[:, 0])
    return {
        "keys": keys.reshape(_PHASES * len(family), -1),
        "gram": gram,
        "inverse": np.linalg.inv(gram + prior),
        "offset": cross,
        "now": now,
    }


def _lowest(missed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the phase (B, 1) at which (B, N) is least, and weights (B, N) of the places near it.

    A parabola through the least and its neighbors; NaN stays NaN.
    """
    at = missed.argmin(dim=1, keepdim=True)
    around = [missed.gather(1, (at + by + _PHASES) % _PHASES) for by in (-1, 0, 1)]
    bend = around[0] - 2.0 * around[1] + around[2]
    part = 0.5 * (around[0] - around[2]) / torch.where(bend > 1e-6, bend, 1.0)
    part = _within(part, 0.5)
    places = torch.arange(_PHASES, device=missed.device)
    apart = (places - at - part + _PHASES // 2 + _PHASES) % _PHASES - _PHASES // 2
    weights = torch.relu(1.0 - apart.abs())
    return (at + part) * (2.0 * math.pi / _PHASES), weights + 0.0 * part


def _within(values: Tensor, most: float) -> Tensor:
    """Return values between -most and most; unlike `clamp` of some runtimes, NaN stays NaN."""
    values = torch.where(values > most, most, values)
    return torch.where(values < -most, -most, values)


def count_step(begun: Tensor) -> Tensor:
    """Return 1 after a first step; worked out from the carry, for no graph gives constants."""
    return torch.where(begun > 0.5, begun, begun + 1.0)
