"""Recurrent networks: stacked layers, each with a memory that is carried from row to row.

Cells are plain operations, because ONNX Runtime's GRU and LSTM operators do not propagate NaN.
Symbols: B batch, F features, L layers, U hidden units, G gates, O outputs.
"""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from kinemill.models.networks.layers import LayerOptions, Network, activation


class RecurrentNetwork(Network):
    """(B, F), memories (B, L, U) -> (B, O), memories.

    The output of a layer is normalized and dropped out, its memory is not.

    Args:
        inputs: F.
        outputs: O.
        hidden_size: U.
        layers: L.
        options: of the hidden layers.

    Attributes:
        gates: values that a cell computes for each hidden unit, G.
        memories: tensors that a layer carries; the first is its output.
    """

    gates: ClassVar[int]
    memories: ClassVar[int] = 1

    def __init__(
        self, inputs: int, outputs: int, hidden_size: int, layers: int, options: LayerOptions
    ) -> None:
        super().__init__()
        self.carry_shapes = ((layers, hidden_size),) * self.memories
        sizes = [inputs] + [hidden_size] * (layers - 1)
        bias = options.bias
        width = self.gates * hidden_size
        self.from_input = nn.ModuleList(nn.Linear(n, width, bias=bias) for n in sizes)
        self.from_hidden = nn.ModuleList(nn.Linear(hidden_size, width, bias=bias) for _ in sizes)
        self.head = nn.Linear(hidden_size + inputs, outputs, bias=bias)
        self.norms = nn.ModuleList(options.norm(hidden_size) for _ in sizes)
        self.dropout = nn.Dropout(options.dropout)
        self.activation = activation(options.activation)

    @abstractmethod
    def cell(self, from_input: Tensor, from_hidden: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """Return the memory after one row, each (B, U).

        Args:
            from_input: W x + b, (B, G U).
            from_hidden: U h + c, (B, G U).
            memory: carried by the layer, each (B, U).
        """

    def warm_up(self, features: Tensor) -> tuple[Tensor, ...]:
        """Return the memories after features (B, K, F), from zero memories."""
        # Not len(features): torch.export makes it a constant, which would fix the batch size.
        zeros = features.new_zeros(features.shape[0], self.carry_shapes[0][1])
        after: list[tuple[Tensor, ...]] = []
        rows = features
        for layer, (from_input, from_hidden) in enumerate(
            zip(self.from_input, self.from_hidden, strict=True)
        ):
            memory = (zeros,) * self.memories
            hidden: list[Tensor] = []
            for row in from_input(rows).unbind(1):  # one product for all rows
                memory = self.cell(row, from_hidden(memory[0]), *memory)
                hidden.append(memory[0])
            after.append(memory)
            if layer + 1 < len(self.from_input):
                rows = self.dropout(self.norms[layer](torch.stack(hidden, dim=1)))
        return _stack_layers(after)

    def advance(self, features: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Return the output of the last layer (B, U), then the memories, before the head."""
        hidden = features
        after: list[tuple[Tensor, ...]] = []  # a list, because torch.compile cannot trace others
        for layer in range(len(self.from_input)):
            memory = [part[:, layer] for part in carry]
            recalled = self.from_hidden[layer](memory[0])
            after.append(self.cell(self.from_input[layer](hidden), recalled, *memory))
            hidden = self.dropout(self.norms[layer](after[-1][0]))
        return hidden, *_stack_layers(after)

    def forward(self, features: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs (B, O) and the next memories."""
        hidden, *after = self.advance(features, *carry)
        return self.head(torch.cat([hidden, features], dim=1)), *after


def _stack_layers(memories: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Return the memories (B, U) of L layers as a carry, (B, L, U) each."""
    if len(memories) == 1:
        return tuple(part.unsqueeze(1) for part in memories[0])
    return tuple(torch.stack(parts, dim=1) for parts in zip(*memories, strict=True))


class RNNNetwork(RecurrentNetwork):
    """Elman (1990): h' = act(W x + U h + b)."""

    gates: ClassVar[int] = 1

    def cell(self, from_input: Tensor, from_hidden: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """Return h': (B, U), (B, U) -> (B, U)."""
        del memory  # `from_hidden` holds it
        return (self.activation(from_input + from_hidden),)


class GRUNetwork(RecurrentNetwork):
    """Cho et al. (2014), with the reset gate after the product as in cuDNN."""

    gates: ClassVar[int] = 3

    def cell(self, from_input: Tensor, from_hidden: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """Return h' = (1 - z) n + z h, (B, U); r, z: reset and update gate, n: candidate."""
        (h,) = memory
        sizes = [2 * h.shape[1], h.shape[1]]
        x_gates, xn = from_input.split(sizes, dim=1)
        h_gates, hn = from_hidden.split(sizes, dim=1)
        r, z = torch.sigmoid(x_gates + h_gates).chunk(2, dim=1)
        n = torch.tanh(xn + r * hn)
        return (n + z * (h - n),)


class LSTMNetwork(RecurrentNetwork):
    """Hochreiter and Schmidhuber (1997), with the forget gate of Gers (2000)."""

    gates: ClassVar[int] = 4
    memories: ClassVar[int] = 2

    def cell(self, from_input: Tensor, from_hidden: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """Return h' = o tanh c' and c' = f c + i g, (B, U); i, f, o: input, forget, output gate."""
        _, c = memory
        i, f, g, o = (from_input + from_hidden).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


NETWORKS: dict[str, type[RecurrentNetwork]] = {  # by the type of the settings
    "rnn": RNNNetwork,
    "gru": GRUNetwork,
    "lstm": LSTMNetwork,
}
