"""Feature encoder in torch: from channels to the inputs of the network.

Symbols: B batch, H history, C columns (states, then actions), F features.
"""

import torch
from torch import Tensor, nn

from kinemill.train.layout import Layout

ORIGINS = ("previous", "first", "last")


class Encoder(nn.Module):
    """(..., C) in task units, minus their origins -> (..., F), not yet scaled.

    Args:
        layout: encodings of the columns.
    """

    previous: Tensor
    first: Tensor
    last: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.groups = layout.groups
        self.transform = layout.transform
        self.names = (*layout.states, *layout.actions)
        self.transformed = layout.transformed
        for number, (_, columns) in enumerate(self.groups):
            # Tensors: torch exports indexing by a list as three ONNX operations.
            self.register_buffer(f"columns_{number}", torch.tensor(columns), persistent=False)
        for row in ORIGINS:
            counted = [float(encoding.origin == row) for encoding in layout.encodings]
            self.register_buffer(row, torch.tensor(counted), persistent=False)
        self.origins = frozenset(
            encoding.origin for encoding in layout.encodings if encoding.origin is not None
        )

    @property
    def has_origin(self) -> bool:
        """Whether any column is relative to another row."""
        return bool(self.origins)

    def forward(self, values: Tensor) -> Tensor:
        """Encode group by group: (..., C) -> (..., F) in the order of `Layout.groups`."""
        if self.transform is not None:
            features = self.transform.encode(dict(zip(self.names, values.unbind(-1), strict=True)))
            return torch.stack([features[name] for name in self.transformed], dim=-1)
        parts: list[Tensor] = []  # torch.compile cannot trace `list[Tensor]()`
        for number, (encoding, columns) in enumerate(self.groups):
            picked = values
            if len(columns) < values.shape[-1]:
                picked = values.index_select(-1, self.get_buffer(f"columns_{number}"))
            parts += encoding.encode(picked)
        return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]

    def origin(self, rows: Tensor) -> Tensor | None:
        """Return the origin of the columns of each row, 0 for plain ones; None: all are plain.

        The first row has no previous row: its differences are 0.

        Args:
            rows: (B, H, C), a whole window or history.

        Returns:
            (B, H, C), or (B, 1, C) where it is the same for all rows.
        """
        origins: list[Tensor] = []
        if "previous" in self.origins:
            origins.append(torch.cat([rows[:, :1], rows[:, :-1]], dim=1) * self.previous)
        if "first" in self.origins or "last" in self.origins:
            origins.append(rows[:, :1] * self.first + rows[:, -1:] * self.last)
        return sum(origins[1:], origins[0]) if origins else None
