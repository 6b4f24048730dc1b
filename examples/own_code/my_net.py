"""A custom network for dynamics models and policies."""

import torch
from torch import Tensor, nn


class Net(nn.Module):
    """Two gated layers over the last rows of features.

    Args:
        inputs: features of a row, F.
        outputs: outputs, O.
        history: rows, H.
        width: hidden units, a setting of the task file.
    """

    def __init__(self, inputs: int, outputs: int, history: int, width: int = 64) -> None:
        super().__init__()
        self.first = nn.Linear(history * inputs, 2 * width)
        self.second = nn.Linear(width, width)
        self.last = nn.Linear(width, outputs)

    def forward(self, rows: Tensor) -> Tensor:
        """Return scaled outputs (B, O) from scaled features (B, H, F), oldest row first."""
        value, gate = self.first(rows.flatten(1)).chunk(2, dim=1)
        hidden = value * torch.sigmoid(gate)
        hidden = hidden + torch.tanh(self.second(hidden))
        return self.last(hidden)
