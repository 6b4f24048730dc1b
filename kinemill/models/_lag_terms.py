"""The newest row and how rows before it changed, as terms of a regression.

Symbols: B batch, H history, S states, A actions, C = S + A columns, F terms.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kinemill.models._regression import Terms


def relative_columns(layout: Any, named: Sequence[str] | None) -> tuple[bool, ...]:
    """Return which columns (C,) enter as changes alone: `named`, else those encoded `relative`."""
    columns = [*layout.states, *layout.actions]
    if named is not None:
        return tuple(name in named for name in columns)
    return tuple(encoding.type == "relative" for encoding in layout.encodings)


class Lags(Terms):
    """Levels of the newest row, then the changes from row to row, the newest first.

    Args:
        layout: order of channels; history.
        relative: which columns have changes alone, (C,).
        trigonometric: angles enter as sine, cosine and changes, else wrapped to [-π, π].
    """

    center: Tensor
    period: Tensor
    frequency: Tensor
    level: Tensor
    angle: Tensor
    straight: Tensor

    def __init__(self, layout: Any, relative: Sequence[bool], *, trigonometric: bool) -> None:
        super().__init__()
        actions, history = len(layout.actions), int(layout.history)
        angle = torch.tensor([*layout.angles, *[False] * actions])
        self.trigonometric = trigonometric and bool(angle.any())
        columns = torch.arange(len(angle))
        whole = 2 * math.pi
        self.register_buffer("center", torch.zeros(len(angle)))
        self.register_buffer("period", torch.where(angle, whole, 0.0), persistent=False)
        self.register_buffer("frequency", torch.where(angle, 1 / whole, 0.0), persistent=False)
        shown = ~angle if self.trigonometric else torch.ones_like(angle)
        # Columns without a level stay in it, times 0: what is not finite shows in every output.
        level = torch.where(torch.tensor(relative) & ~angle, 0.0, 1.0)[shown]
        self.register_buffer("level", level, persistent=False)
        self.register_buffer("angle", columns[angle], persistent=False)
        self.register_buffer("straight", columns[shown], persistent=False)
        turned = 2 * int(angle.sum()) if self.trigonometric else 0
        first, more = int(shown.sum()) + turned, len(angle) + turned
        self.columns = len(angle)
        self.counts = tuple(first + more * rows for rows in range(history))

    def center_on(self, mean: Tensor) -> None:
        """Take a mean (C,) off the levels."""
        self.center.copy_(mean)

    def wrap(self, values: Tensor) -> Tensor:
        """Bring angles into [-π, π]."""
        return values - self.period * torch.round(values * self.frequency)

    def forward(self, rows: Tensor) -> Tensor:
        """(B, H, C), newest first -> (B, F)."""
        newest = self.wrap(rows[:, 0]).index_select(1, self.straight)
        center = self.center.index_select(0, self.straight)
        parts = [(newest - center) * self.level]
        changes = [self.wrap(rows[:, :-1] - rows[:, 1:])] if rows.shape[1] > 1 else []
        if self.trigonometric:
            turned = rows.index_select(2, self.angle)
            turned = torch.cat([torch.sin(turned), torch.cos(turned)], dim=2)
            parts.append(turned[:, 0])
            if changes:
                changes.append(turned[:, :-1] - turned[:, 1:])
        if changes:
            parts.append(torch.cat(changes, dim=2).flatten(1))
        return torch.cat(parts, dim=1)
