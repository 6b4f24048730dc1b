"""Terms of a regression: levels of the newest row, and changes from row to row.

Symbols: B batch, H history, S states, A actions, C = S + A columns, F terms.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from kinemill.models._layout import ModelLayout
from kinemill.models.networks.regression import Terms
from kinemill.models.networks.scaling import angle_period, wrap_angles


def relative_columns(layout: ModelLayout, names: Sequence[str] | None) -> tuple[bool, ...]:
    """Return which columns (C,) enter as changes alone: `names`, or those encoded `relative`."""
    columns = [*layout.states, *layout.actions]
    if names is not None:
        return tuple(name in names for name in columns)
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
    level: Tensor
    angle: Tensor
    straight: Tensor

    def __init__(
        self, layout: ModelLayout, relative: Sequence[bool], *, trigonometric: bool
    ) -> None:
        super().__init__()
        actions = len(layout.actions)
        history = int(layout.history)
        angles = [*layout.angles, *[False] * actions]
        angle = torch.tensor(angles)
        self.trigonometric = trigonometric and bool(angle.any())
        columns = torch.arange(len(angle))
        self.register_buffer("center", torch.zeros(len(angle)))
        self.register_buffer("period", angle_period(angles), persistent=False)
        plain = ~angle if self.trigonometric else torch.ones_like(angle)
        # Columns without a level are multiplied by 0, not removed: NaN has to reach all outputs.
        level = torch.where(torch.tensor(relative) & ~angle, 0.0, 1.0)[plain]
        self.register_buffer("level", level, persistent=False)
        self.register_buffer("angle", columns[angle], persistent=False)
        self.register_buffer("straight", columns[plain], persistent=False)
        waves = 2 * int(angle.sum()) if self.trigonometric else 0
        first = int(plain.sum()) + waves
        per_row = len(angle) + waves
        self.columns = len(angle)
        # Terms of a shorter history come first, as `Terms` requires for the choice of a history.
        self.counts = tuple(first + per_row * rows for rows in range(history))

    def center_on(self, mean: Tensor) -> None:
        """Subtract a mean (C,), in task units, from the levels."""
        self.center.copy_(mean)

    def wrap(self, values: Tensor) -> Tensor:
        """Wrap the angles of (..., C) to [-π, π] rad; other columns stay."""
        return wrap_angles(values, self.period)

    def forward(self, rows: Tensor) -> Tensor:
        """Return the terms: (B, H, C), newest first -> (B, F)."""
        newest = self.wrap(rows[:, 0]).index_select(1, self.straight)
        center = self.center.index_select(0, self.straight)
        parts = [(newest - center) * self.level]
        changes = [self.wrap(rows[:, :-1] - rows[:, 1:])] if rows.shape[1] > 1 else []
        if self.trigonometric:
            angles = rows.index_select(2, self.angle)
            waves = torch.cat([torch.sin(angles), torch.cos(angles)], dim=2)
            parts.append(waves[:, 0])
            if changes:
                changes.append(waves[:, :-1] - waves[:, 1:])
        if changes:
            parts.append(torch.cat(changes, dim=2).flatten(1))
        return torch.cat(parts, dim=1)
