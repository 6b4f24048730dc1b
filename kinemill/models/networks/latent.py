"""Network of the latent state space.

Symbols: B batch, N windows, T horizon, F features, H rows of history, O outputs, x hidden states
(B, size).
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinemill.models.networks.layers import Network, activation
from kinemill.models.networks.subspace import identify

MOST_FUTURE = 20  # rows of the future that subspace identification looks at
Bounds = Sequence[tuple[float, float] | None]


class _Settings(Protocol):
    """What the network reads of `kinemill.models.latent.Latent`."""

    @property
    def size(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def lag(self) -> float: ...
    @property
    def activation(self) -> str: ...
    @property
    def start(self) -> str: ...


class LatentNetwork(Network):
    """(B, F), window (B, H - 1, F), rows so far (B, 1), x (B, size) -> (B, O), carry.

    Args:
        settings: sizes, activation and initial lag.
        inputs: F.
        history: H.
        bounds: of each output, where its sensor saturates, in scaled units; None: nowhere.
        input_columns: columns of the features that act on the hidden states.
    """

    input_columns: Tensor
    limited: Tensor
    low: Tensor
    high: Tensor

    def __init__(
        self,
        settings: _Settings,
        inputs: int,
        history: int,
        bounds: Bounds,
        input_columns: Sequence[int],
    ) -> None:
        super().__init__()
        self.history, size, hidden = history, settings.size, settings.hidden_size
        self.fits_sequences = settings.start == "subspace"
        width = size + len(input_columns)
        self.carry_shapes = ((self.history - 1, inputs), (1,), (size,))
        self.act = activation(settings.activation)
        self.encoder = nn.Linear(self.history * inputs, size)
        self.linear = nn.Linear(width, size)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, size)
        self.head = nn.Linear(size, len(bounds))
        self.sharpness = nn.Parameter(torch.full((len(bounds),), 2.0))  # logarithm
        self.initialize(settings.lag)
        limited = torch.tensor([1.0 if limits else 0.0 for limits in bounds])
        low, high = torch.tensor([limits or (-1.0, 1.0) for limits in bounds]).unbind(1)
        columns = torch.tensor(list(input_columns), dtype=torch.long)
        self.register_buffer("input_columns", columns, persistent=False)
        for name, value in {"limited": limited, "low": low, "high": high}.items():
            self.register_buffer(name, value, persistent=False)

    @torch.no_grad()
    def initialize(self, lag: float) -> None:
        """Set the weights to a chain of lags of `lag` rows each, whose last states are read."""
        outputs, size = self.head.weight.shape
        weight = self.linear.weight.mul_(0.1 / lag)
        weight[:, :size] += (torch.diag(torch.ones(size - 1), -1) - torch.eye(size)) / lag
        weight[0, size:] += 1.0 / lag
        self.linear.bias.zero_()
        self.down.weight.mul_(0.1 / lag)
        self.down.bias.zero_()
        self.head.weight.copy_(torch.eye(size).flip(0)[torch.arange(outputs) % size])

    @torch.no_grad()
    def fit_sequences(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set the weights to a linear model by subspace identification, the network's part to zero.

        Args:
            batches: features (N, H + T, F), and scaled outputs (N, H + T - 1, O) that follow rows.
        """
        rows = self.history + MOST_FUTURE
        parts = [(f[:, :rows].double().cpu(), y[:, : rows - 1].double().cpu()) for f, y in batches]
        features, outputs = (torch.cat(some) for some in zip(*parts, strict=True))
        size, inputs = len(self.linear.bias), self.input_columns.tolist()
        model = identify(features, outputs, inputs, self.history, size)
        transition, driven, shift = model.update
        self.encoder.weight.copy_(model.encoder[0])
        self.encoder.bias.copy_(model.encoder[1])
        self.linear.weight.copy_(torch.cat([transition - torch.eye(size), driven], dim=1))
        self.linear.bias.copy_(shift)
        self.head.weight.copy_(model.head[0])
        self.head.bias.copy_(model.head[1])
        self.down.weight.zero_()

    def warm_up(self, features: Tensor) -> tuple[Tensor, ...]:
        """Return the carry after features (B, K, F)."""
        return self.replay(features)

    def forward(
        self, features: Tensor, window: Tensor, count: Tensor, x: Tensor
    ) -> tuple[Tensor, ...]:
        """Advance one row; the encoder sets the hidden states once, when the history is full."""
        rows = torch.cat([window, features.unsqueeze(1)], dim=1)
        is_full = torch.clamp(1.0 - (count - (self.history - 1)).abs(), min=0.0)  # 1 or 0
        x = x + is_full * (self.encoder(rows.flatten(1)) - x)
        inputs = torch.cat([x, features.index_select(1, self.input_columns)], dim=1)
        x = x + self.linear(inputs) + self.down(self.act(self.up(inputs)))
        count = torch.clamp(count + 1.0, max=float(self.history))
        return self.saturate(self.head(x)), rows[:, 1:], count, x

    def saturate(self, y: Tensor) -> Tensor:
        """Keep outputs (B, O) softly between their bounds."""
        sharp = torch.exp(self.sharpness)
        below = self.high - functional.softplus(sharp * (self.high - y)) / sharp
        between = self.low + functional.softplus(sharp * (below - self.low)) / sharp
        return y + self.limited * (between - y)
