"""Terms of a regression: gravity, friction, drag, coupling, and lags.

Symbols: B batch, H history, n pairs of a position q and its velocity v, K hinges, F terms.
"""

from collections.abc import Sequence
from itertools import combinations, combinations_with_replacement

import torch
from torch import Tensor

from kinemill.models._layout import ModelLayout
from kinemill.models.networks.lag_terms import Lags
from kinemill.models.networks.regression import Terms

# In standard deviations of a velocity:
WIDTHS = (0.02, 0.2)  # ε of Coulomb friction, a sharp and a soft step
STRIBECK = (0.1, 0.5)  # velocities w by which friction has fallen
MAX_SUMMED_HINGES = 4  # more hinges are a driven arm, where sums of angles matter less
MAX_PRODUCTS = 300  # of velocities with sines and cosines; beyond it only squares of velocities


class MechanicsTerms(Terms):
    """Terms of the newest row, then those of `Lags`: (B, H, C), newest first -> (B, F).

    For each pair tanh(v / ε) and v |v|, with `stribeck` also tanh(v / ε) exp(-(v / w)²); of hinges
    sin and cos of q, 2 q, q_i + q_j and q_i - q_j; of slides q³. With `coupling` also velocities
    v_i v_j times 1, sin q and cos q, and actions times sin q and cos q: what centrifugal forces and
    mass matrices of linkages are made of.

    Args:
        layout: order of channels; history.
        relative: which columns have changes alone, (C,).
        pairs: columns of position and velocity.
        std: standard deviation of each state, (S,).
        coupling: whether there are products.
        stribeck: whether dry friction may fall with the velocity (Stribeck, 1902).
    """

    velocity: Tensor
    hinge: Tensor
    slide: Tensor
    action: Tensor
    first: Tensor
    second: Tensor
    sums: Tensor
    velocity_std: Tensor
    slide_std: Tensor

    def __init__(
        self,
        layout: ModelLayout,
        relative: Sequence[bool],
        pairs: Sequence[tuple[int, int]],
        std: Tensor,
        *,
        coupling: bool,
        stribeck: bool,
    ) -> None:
        super().__init__()
        self.stribeck = stribeck
        self.lags, states = Lags(layout, relative, trigonometric=True), len(layout.states)
        self.columns = self.lags.columns
        hinges = [q for q, _ in pairs if layout.angles[q]]
        slides = [q for q, _ in pairs if not layout.angles[q] and not relative[q]]
        self.coupling = coupling and bool(pairs)
        first, second = velocity_products(len(pairs), len(hinges))
        columns = {
            "velocity": [v for _, v in pairs],
            "hinge": hinges,
            "slide": slides,
            "action": range(states, states + len(layout.actions)),
            "first": first,
            "second": second,
        }
        for name, indices in columns.items():
            index = torch.tensor(list(indices), dtype=torch.long)
            self.register_buffer(name, index, persistent=False)
        self.register_buffer("sums", torch.tensor(angle_sums(len(hinges))).T, persistent=False)
        self.register_buffer("velocity_std", std[self.velocity].float())
        self.register_buffer("slide_std", std[self.slide].float())
        newest = sum(part.shape[1] for part in self.newest_terms(torch.zeros(1, self.columns)))
        self.counts = tuple(newest + count for count in self.lags.counts)

    def center_on(self, mean: Tensor) -> None:
        """Subtract a mean (C,), in task units, from the levels."""
        self.lags.center_on(mean)

    def forward(self, rows: Tensor) -> Tensor:
        """Return the terms: (B, H, C), newest first -> (B, F)."""
        return torch.cat([*self.newest_terms(rows[:, 0]), self.lags(rows)], dim=1)

    def newest_terms(self, row: Tensor) -> list[Tensor]:
        """Return the terms of the newest row alone: (B, C) -> parts (B, f)."""
        if not len(self.velocity):
            return []
        v = row.index_select(1, self.velocity) / self.velocity_std
        parts = [*(torch.tanh(v / width) for width in WIDTHS), v * v.abs()]
        if self.stribeck:
            parts += [parts[0] * torch.exp(-((v / speed) ** 2)) for speed in STRIBECK]
        if len(self.slide):
            parts.append(
                ((row - self.lags.center).index_select(1, self.slide) / self.slide_std) ** 3
            )
        waves: list[Tensor] = []
        if len(self.hinge):
            q = self.lags.wrap(row).index_select(1, self.hinge)
            sums = q @ self.sums
            parts += [torch.sin(sums), torch.cos(sums)]
            waves = [torch.sin(q), torch.cos(q)]
        if self.coupling:
            products = v.index_select(1, self.first) * v.index_select(1, self.second)
            parts += [products, *(_outer(products, wave) for wave in waves)]
            if len(self.action):
                actions = row.index_select(1, self.action)
                parts += [_outer(actions, wave) for wave in waves]
        return parts


def _outer(columns: Tensor, factors: Tensor) -> Tensor:
    """(B, m), (B, n) -> (B, m n)."""
    return (columns.unsqueeze(2) * factors.unsqueeze(1)).flatten(1)


def velocity_products(pairs: int, hinges: int) -> tuple[list[int], list[int]]:
    """Return the columns of both factors of each product of velocities, P numbers each."""
    indices = list(combinations_with_replacement(range(pairs), 2))
    if len(indices) * (1 + 2 * hinges) > MAX_PRODUCTS:
        indices = [(number, number) for number in range(pairs)]
    return [row for row, _ in indices], [column for _, column in indices]


def angle_sums(hinges: int) -> list[list[float]]:
    """Return the sums of K hinge angles whose sines and cosines are terms: rows of K integers.

    Gravity and centrifugal forces of a linkage depend on sums and differences of its angles, and
    sin 2 q is twice the product sin q cos q.
    """
    unit = [[float(row == column) for column in range(hinges)] for row in range(hinges)]
    sums = [*unit, *([2.0 * value for value in row] for row in unit)]
    if hinges <= MAX_SUMMED_HINGES:
        for first, second in combinations(unit, 2):
            sums.append([a + b for a, b in zip(first, second, strict=True)])
            sums.append([a - b for a, b in zip(first, second, strict=True)])
    return sums or [[]]
