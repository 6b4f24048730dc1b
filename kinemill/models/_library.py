"""Terms of simple mechanics: gravity, friction, drag, coupling, and the rows before.

Symbols: B batch, H history, n pairs of a position q and its velocity v, K hinges, F terms.
"""

from collections.abc import Sequence
from itertools import combinations, combinations_with_replacement
from typing import Any

import torch
from torch import Tensor

from kinemill.models._lag_terms import Lags
from kinemill.models._regression import Terms

# In spreads of a velocity: within these Coulomb's friction changes sides, a sharp and a soft step.
SHARP = (0.02, 0.2)
MOST_HINGES = 4  # whose angles are added and subtracted; more are a robot that hardly swings freely
MOST_PRODUCTS = 300  # of velocities with sines and cosines; of more joints, only their squares


class Library(Terms):
    """Terms of the newest row, then those of `Lags`: (B, H, C), newest first -> (B, F).

    For each pair tanh(v / ε) and v |v|; of hinges sin and cos of q, 2 q, q_i + q_j and q_i - q_j;
    of slides q³. With `coupling` also velocities v_i v_j times 1, sin q and cos q, and actions
    times sin q and cos q: what centrifugal forces and mass matrices of linkages are made of.

    Args:
        layout: order of channels; history.
        relative: which columns have changes alone, (C,).
        pairs: columns of position and velocity.
        scale: spread of each state, (S,).
        coupling: whether there are products.
    """

    velocity: Tensor
    hinge: Tensor
    slide: Tensor
    action: Tensor
    first: Tensor
    second: Tensor
    turns: Tensor
    spread: Tensor
    reach: Tensor

    def __init__(
        self,
        layout: Any,
        relative: Sequence[bool],
        pairs: Sequence[tuple[int, int]],
        scale: Tensor,
        *,
        coupling: bool,
    ) -> None:
        super().__init__()
        self.lags, states = Lags(layout, relative, trigonometric=True), len(layout.states)
        self.columns = self.lags.columns
        hinges = [q for q, _ in pairs if layout.angles[q]]
        slides = [q for q, _ in pairs if not layout.angles[q] and not relative[q]]
        self.coupling = coupling and bool(pairs)
        first, second = products(len(pairs), len(hinges))
        picked = {
            "velocity": [v for _, v in pairs],
            "hinge": hinges,
            "slide": slides,
            "action": range(states, states + len(layout.actions)),
            "first": first,
            "second": second,
        }
        for name, columns in picked.items():
            at = torch.tensor(list(columns), dtype=torch.long)
            self.register_buffer(name, at, persistent=False)
        self.register_buffer("turns", torch.tensor(turns_of(len(hinges))).T, persistent=False)
        self.register_buffer("spread", scale[self.velocity].float())
        self.register_buffer("reach", scale[self.slide].float())
        own = sum(part.shape[1] for part in self.own(torch.zeros(1, self.columns)))
        self.counts = tuple(own + count for count in self.lags.counts)

    def center_on(self, mean: Tensor) -> None:
        """Take a mean (C,) off the levels."""
        self.lags.center_on(mean)

    def forward(self, rows: Tensor) -> Tensor:
        """(B, H, C), newest first -> (B, F)."""
        return torch.cat([*self.own(rows[:, 0]), self.lags(rows)], dim=1)

    def own(self, row: Tensor) -> list[Tensor]:
        """Return the terms of the newest row alone: (B, C) -> parts (B, f)."""
        if not len(self.velocity):
            return []
        v = row.index_select(1, self.velocity) / self.spread
        parts = [*(torch.tanh(v / sharp) for sharp in SHARP), v * v.abs()]
        if len(self.slide):
            parts.append(((row - self.lags.center).index_select(1, self.slide) / self.reach) ** 3)
        waves: list[Tensor] = []
        if len(self.hinge):
            q = self.lags.wrap(row).index_select(1, self.hinge)
            turned = q @ self.turns
            parts += [torch.sin(turned), torch.cos(turned)]
            waves = [torch.sin(q), torch.cos(q)]
        if self.coupling:
            squares = v.index_select(1, self.first) * v.index_select(1, self.second)
            parts += [squares, *(_outer(squares, wave) for wave in waves)]
            if len(self.action):
                acting = row.index_select(1, self.action)
                parts += [_outer(acting, wave) for wave in waves]
        return parts


def _outer(left: Tensor, right: Tensor) -> Tensor:
    """(B, m), (B, n) -> (B, m n)."""
    return (left.unsqueeze(2) * right.unsqueeze(1)).flatten(1)


def products(pairs: int, hinges: int) -> tuple[list[int], list[int]]:
    """Return which velocities are multiplied with each other."""
    chosen = list(combinations_with_replacement(range(pairs), 2))
    if len(chosen) * (1 + 2 * hinges) > MOST_PRODUCTS:
        chosen = [(number, number) for number in range(pairs)]
    return [one for one, _ in chosen], [other for _, other in chosen]


def turns_of(hinges: int) -> list[list[float]]:
    """Return the sums of hinge angles whose sines and cosines are terms: rows of integers."""
    unit = [[float(row == column) for column in range(hinges)] for row in range(hinges)]
    found = [*unit, *([2.0 * value for value in row] for row in unit)]
    if hinges <= MOST_HINGES:
        for one, other in combinations(unit, 2):
            found.append([a + b for a, b in zip(one, other, strict=True)])
            found.append([a - b for a, b in zip(one, other, strict=True)])
    return found or [[]]
