"""The network of the latent state space.

Symbols: B batch, F features, H rows of history, O outputs, x hidden states (B, size).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinemill.models._layers import activation


class Network(nn.Module):
    """(B, F), carry (B, H - 1, F), (B, 1), (B, size) -> (B, O), carry.

    Args:
        settings: of `kinemill.models.latent`.
        shape: F and H.
        bounds: of each output, where its sensor saturates, in its scale; None: nowhere.
        acting: the features that act on the hidden states.
    """

    acting: Tensor
    limited: Tensor
    low: Tensor
    high: Tensor

    def __init__(
        self,
        settings: Any,
        shape: tuple[int, int],
        bounds: Sequence[tuple[float, float] | None],
        acting: Sequence[int],
    ) -> None:
        super().__init__()
        inputs, self.history = shape
        size, hidden, width = settings.size, settings.hidden_size, settings.size + len(acting)
        self.carry_shapes = ((self.history - 1, inputs), (1,), (size,))
        self.act = activation(settings.activation)
        self.encoder = nn.Linear(self.history * inputs, size)
        self.linear = nn.Linear(width, size)
        self.into, self.out_of = nn.Linear(width, hidden), nn.Linear(hidden, size)
        self.head = nn.Linear(size, len(bounds))
        self.sharpness = nn.Parameter(torch.full((len(bounds),), 2.0))  # logarithm
        self.start(settings.lag)
        limited = torch.tensor([1.0 if edges else 0.0 for edges in bounds])
        low, high = torch.tensor([edges or (-1.0, 1.0) for edges in bounds]).unbind(1)
        self.register_buffer("acting", torch.tensor(list(acting)), persistent=False)
        for name, value in {"limited": limited, "low": low, "high": high}.items():
            self.register_buffer(name, value, persistent=False)

    @torch.no_grad()
    def start(self, lag: float) -> None:
        """Begin as lags one behind the other, each of `lag` rows; the last are read out."""
        outputs, size = self.head.weight.shape
        weight = self.linear.weight.mul_(0.1 / lag)
        weight[:, :size] += (torch.diag(torch.ones(size - 1), -1) - torch.eye(size)) / lag
        weight[0, size:] += 1.0 / lag
        self.linear.bias.zero_()
        self.out_of.weight.mul_(0.1 / lag)
        self.out_of.bias.zero_()
        self.head.weight.copy_(torch.eye(size).flip(0)[torch.arange(outputs) % size])

    def warm_up(self, features: Tensor) -> tuple[Tensor, ...]:
        """Return the carry after features (B, rows, F)."""
        carry = tuple(features.new_zeros(features.shape[0], *one) for one in self.carry_shapes)
        for row in features.unbind(1):
            _, *rest = self(row, *carry)
            carry = tuple(rest)
        return carry

    def forward(
        self, features: Tensor, window: Tensor, seen: Tensor, x: Tensor
    ) -> tuple[Tensor, ...]:
        """Go one step on; the hidden states are looked for once, when the history is full."""
        rows = torch.cat([window, features.unsqueeze(1)], dim=1)
        present = torch.clamp(1.0 - (seen - (self.history - 1)).abs(), min=0.0)
        x = x + present * (self.encoder(rows.flatten(1)) - x)
        both = torch.cat([x, features.index_select(1, self.acting)], dim=1)
        x = x + self.linear(both) + self.out_of(self.act(self.into(both)))
        count = torch.clamp(seen + 1.0, max=float(self.history))
        return self.bounded(self.head(x)), rows[:, 1:], count, x

    def bounded(self, y: Tensor) -> Tensor:
        """Return y (B, O), softly below the upper limits and above the lower ones."""
        sharp = torch.exp(self.sharpness)
        less = self.high - functional.softplus(sharp * (self.high - y)) / sharp
        both = self.low + functional.softplus(sharp * (less - self.low)) / sharp
        return y + self.limited * (both - y)
