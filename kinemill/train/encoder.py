"""From channels to features, as torch: the part of a step that comes before its network.

Symbols: C columns (states, then actions), F features.
"""

import torch
from torch import Tensor, nn

from kinemill.train.layout import Layout


class Encoder(nn.Module):
    """(..., C) in task units, origins taken off -> (..., F), not yet scaled."""

    first: Tensor
    last: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.groups = layout.groups
        for number, (_, columns) in enumerate(self.groups):
            # As tensors, because indexing by a list is exported as three operations.
            self.register_buffer(f"columns_{number}", torch.tensor(columns), persistent=False)
        for row in ("first", "last"):
            counted = [float(encoding.origin == row) for encoding in layout.encodings]
            self.register_buffer(row, torch.tensor(counted), persistent=False)
        self.has_origin = any(encoding.origin for encoding in layout.encodings)

    def forward(self, values: Tensor) -> Tensor:
        """Encode group by group; see `Layout.groups` for the order of features."""
        parts: list[Tensor] = []  # so that torch's compiler reads it
        for number, (encoding, columns) in enumerate(self.groups):
            picked = values
            if len(columns) < values.shape[-1]:
                picked = values.index_select(-1, self.get_buffer(f"columns_{number}"))
            parts += encoding.encode(picked)
        return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]

    def origin(self, rows: Tensor) -> Tensor:
        """Return where relative columns count from, 0 elsewhere: (B, H, C) -> (B, C)."""
        return rows[:, 0] * self.first + rows[:, -1] * self.last
