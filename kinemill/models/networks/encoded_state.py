"""Base of networks with hidden states that an encoder estimates once from the history.

Symbols: B batch, F features, H rows of history, m inputs, O outputs, x hidden states (B, size).
"""

from abc import abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinemill.models._encoded_state import EncodedShape
from kinemill.models.networks.layers import Network
from kinemill.models.networks.subspace import StateSpace, identify

MOST_FUTURE = 20  # rows of the future that subspace identification reads
DECAY = 2.2  # initial logit of what remains of an offset after one row: 0.9


class EncodedStateNetwork(Network):
    """(B, F), window (B, H - 1, F), rows so far (B, 1), x (B, size) -> (B, O), carry.

    x is zero until the history is full; a linear encoder then computes it from the history.
    From there on, outputs follow from x and the inputs alone. With offsets, x has O more
    numbers: how far the last measured outputs are from what the hidden states say. They decay, so
    that the first steps of a rollout continue from the measurement, and late ones follow the hidden
    states: the output disturbance model of Pannocchia and Rawlings (AIChE Journal, 2003).

    Args:
        size: number of hidden states.
        shape: inputs and outputs.

    Attributes:
        settled: value of each part of the carry, by its index, that no longer matters once the
            history is full.
    """

    fits_sequences = False
    input_columns: Tensor
    limited: Tensor
    low: Tensor
    high: Tensor
    has_offset: Tensor
    source: Tensor
    gain: Tensor
    shift: Tensor

    def __init__(self, size: int, shape: EncodedShape) -> None:
        super().__init__()
        history = shape.history
        inputs = shape.inputs
        self.history = history
        self.carry_shapes = ((history - 1, inputs), (1,), (size,))
        self.settled = {0: 0.0, 1: float(history)}
        self.encoder = nn.Linear(history * inputs, size)
        bounds = shape.bounds
        outputs = len(shape.bounds)
        self.sharpness = nn.Parameter(torch.full((outputs,), 2.0))  # logarithm
        limited = torch.tensor([1.0 if limits else 0.0 for limits in bounds])
        low, high = torch.tensor([limits or (-1.0, 1.0) for limits in bounds]).unbind(1)
        columns = torch.tensor(list(shape.input_columns), dtype=torch.long)
        buffers = {"input_columns": columns, "limited": limited, "low": low, "high": high}
        self.has_offsets = any(shape.measured)
        if self.has_offsets:
            window, count, _ = self.carry_shapes
            self.carry_shapes = window, count, (size + outputs,)
            self.decay = nn.Parameter(torch.full((outputs,), DECAY))
            rows = [(1.0, *column) if column else (0.0, 0, 0.0, 0.0) for column in shape.measured]
            has_offset, source, gain, shift = torch.tensor(rows).unbind(1)
            buffers |= {"has_offset": has_offset, "source": source.long()}
            buffers |= {"gain": gain, "shift": shift}
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)

    def present(self, features: Tensor, window: Tensor, count: Tensor, x: Tensor) -> Tensor:
        """Return x (B, size) at the row of `features` (B, F).

        The encoder sets it once, when the history is full.
        """
        # Arithmetic instead of a branch: each row of a batch may be at another row of its history,
        # and an ONNX graph has one path.
        rows = torch.cat([window, features.unsqueeze(1)], dim=1)
        return x + self.is_full(count) * (self.encoder(rows.flatten(1)) - x)

    def is_full(self, count: Tensor) -> Tensor:
        """Return 1 at the row that completes the history, else 0, (B, 1)."""
        after = count - (self.history - 1)  # rows since the history was full
        return torch.clamp(1.0 - after.abs(), min=0.0)

    def after(
        self, features: Tensor, window: Tensor, count: Tensor, x: Tensor
    ) -> tuple[Tensor, ...]:
        """Return the carry after the row of `features` (B, F), with x (B, size) of the next row."""
        rows = torch.cat([window, features.unsqueeze(1)], dim=1)
        is_known = torch.clamp(count + 2.0 - self.history, min=0.0, max=1.0)  # 1 or 0
        return rows[:, 1:], torch.clamp(count + 1.0, max=float(self.history)), is_known * x

    def at_start(self, features: Tensor) -> tuple[Tensor, ...]:
        """Return the carry after fewer than H rows, features (B, K, F)."""
        batch, rows, _ = features.shape
        window = features
        missing = self.history - 1 - rows
        if missing:
            window = torch.cat([features.new_zeros(batch, missing, features.shape[2]), window], 1)
        count = features.new_full((batch, 1), float(rows))
        return window, count, features.new_zeros(batch, *self.carry_shapes[2])

    @abstractmethod
    def advance(self, x: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Advance one row: x (B, size), inputs (B, m) -> x (B, size), outputs (B, O)."""

    @abstractmethod
    def read(self, x: Tensor, inputs: Tensor) -> Tensor:
        """Return the outputs (B, O) at x (B, size), after inputs (B, m) of the row before."""

    def start_as(self, model: StateSpace) -> None:
        """Set the weights of `advance` to a linear model; called if `fits_sequences` is true."""
        raise NotImplementedError

    @torch.no_grad()
    def fit_sequences(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set the weights to a linear model by subspace identification.

        Args:
            batches: features (N, H + T, F), and scaled outputs (N, H + T - 1, O) that follow rows.
        """
        rows = self.history + MOST_FUTURE
        parts = [(f[:, :rows].double().cpu(), y[:, : rows - 1].double().cpu()) for f, y in batches]
        features, outputs = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        size = self.encoder.out_features
        inputs = self.input_columns.tolist()
        model = identify(features, outputs, inputs, self.history, size)
        self.encoder.weight.copy_(model.encoder[0])
        self.encoder.bias.copy_(model.encoder[1])
        self.start_as(model)

    def warm_up(self, features: Tensor) -> tuple[Tensor, ...]:
        """Return the carry after features (B, K, F)."""
        enough = features.shape[1] >= self.history
        return self.replay(features) if enough else self.at_start(features)

    def forward(
        self, features: Tensor, window: Tensor, count: Tensor, x: Tensor
    ) -> tuple[Tensor, ...]:
        """Advance one row: (B, F), carry -> outputs (B, O), carry."""
        inputs = features.index_select(1, self.input_columns)
        if not self.has_offsets:
            x, outputs = self.advance(self.present(features, window, count, x), inputs)
            return self.saturate(outputs), *self.after(features, window, count, x)
        hidden, offset = x.split([self.encoder.out_features, len(self.decay)], dim=1)
        hidden = self.present(features, window, count, hidden)
        offset = offset + self.is_full(count) * (self._offset(features, window, hidden) - offset)
        hidden, outputs = self.advance(hidden, inputs)
        offset = torch.sigmoid(self.decay) * offset
        x = torch.cat([hidden, offset], dim=1)
        return self.saturate(outputs + offset), *self.after(features, window, count, x)

    def _offset(self, features: Tensor, window: Tensor, hidden: Tensor) -> Tensor:
        """Return how far measured outputs are from those of the hidden states, (B, O)."""
        earlier = window[:, -1] if self.history > 1 else torch.zeros_like(features)
        expected = self.saturate(self.read(hidden, earlier.index_select(1, self.input_columns)))
        measured = features.index_select(1, self.source) * self.gain + self.shift
        return self.has_offset * (measured - expected)

    def saturate(self, y: Tensor) -> Tensor:
        """Keep outputs (B, O) softly between their bounds."""
        sharp = torch.exp(self.sharpness)
        below = self.high - functional.softplus(sharp * (self.high - y)) / sharp
        between = self.low + functional.softplus(sharp * (below - self.low)) / sharp
        return y + self.limited * (between - y)
