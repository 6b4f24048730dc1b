"""Unknown force of the position of each coordinate: springs, cables, cogging torque, end stops.

Symbols: B batch, n coordinates q (rad or m), P points of a curve.
"""

import math

import torch
from torch import Tensor, nn


class PositionCurve(nn.Module):
    """(B, n) -> (B, n): a sum of P Gaussian bumps of each position, 0 before training.

    The bumps are evenly spaced over the positions in training, with one beyond each end, or over a
    turn if a hinge covers most of it. Far from these positions the force is 0.

    Args:
        hinges: which coordinates are angles, (n,).
        points: P, at least 4.
        symmetric: whether f(-q) = -f(q).
    """

    hinge: Tensor
    centers: Tensor
    width: Tensor
    unit: Tensor

    def __init__(self, hinges: tuple[bool, ...], points: int, *, symmetric: bool) -> None:
        super().__init__()
        count = len(hinges)
        self.symmetric = symmetric
        self.register_buffer("hinge", torch.tensor(hinges).unsqueeze(1), persistent=False)
        self.register_buffer("centers", torch.zeros(count, points))
        self.register_buffer("width", torch.ones(count, 1))
        self.register_buffer("unit", torch.ones(count, 1))
        self.height = nn.Parameter(torch.zeros(count, points))  # in units

    def initialize(self, low: Tensor, high: Tensor, unit: Tensor) -> None:
        """Set the range of each position in training, and the unit of its force, (n,) each."""
        if self.symmetric:
            high = torch.maximum(low.abs(), high.abs())
            low = -high
        points = self.centers.shape[1]
        step = (high - low) / (points - 3)
        turn = 2.0 * math.pi / points
        is_turn = self.hinge[:, 0] & (step > turn)
        first = torch.where(is_turn, -math.pi + 0.5 * turn, low - step)
        step = torch.where(is_turn, turn, step)
        numbers = torch.arange(points, dtype=low.dtype)
        self.centers.copy_(first.unsqueeze(1) + step.unsqueeze(1) * numbers)
        self.width.copy_(step.clamp(min=torch.finfo(step.dtype).tiny).unsqueeze(1))
        self.unit.copy_(unit.unsqueeze(1))

    def forward(self, q: Tensor) -> Tensor:
        """Return the forces, N·m or N."""
        force = self._evaluate(q)
        return 0.5 * (force - self._evaluate(-q)) if self.symmetric else force

    def _evaluate(self, q: Tensor) -> Tensor:
        distance = q.unsqueeze(2) - self.centers
        # Of angles the chord of the unit circle, which does not change by a turn.
        distance = torch.where(self.hinge, 2.0 * torch.sin(0.5 * distance), distance) / self.width
        return (torch.exp(-0.5 * distance.square()) * (self.unit * self.height)).sum(2)
