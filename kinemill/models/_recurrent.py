"""What recurrent networks share: layers on top of each other, each with a memory that is carried.

Cells are plain operations: ONNX Runtime's GRU and LSTM nodes swallow NaN, products and sums do not.
"""

from abc import abstractmethod
from typing import Any, ClassVar

from pydantic import PositiveInt

from kinemill.models._layers import Bias, Dropout, LayerNorm, normalizer
from kinemill.task.plugins import Model


class Recurrent(Model):
    """Settings of a recurrent network; `cell` is what one layer does with one row.

    Attributes:
        gates: values that a cell computes for each hidden unit.
        memories: tensors that a layer carries; the first is what it hands up.
    """

    gates: ClassVar[int]
    memories: ClassVar[int] = 1
    hidden_size: PositiveInt = 128
    layers: PositiveInt = 1
    dropout: Dropout = 0.0
    bias: Bias = True
    layer_norm: LayerNorm = False

    @abstractmethod
    def cell(self, given: Any, recalled: Any, *memory: Any) -> tuple[Any, ...]:
        """Return the memory after one row, each (B, hidden).

        Args:
            given: what the row brings, W x + b, (B, gates * hidden).
            recalled: what the memory brings, U h + c, (B, gates * hidden).
            memory: what the layer carried, each (B, hidden).
        """

    def build(self, inputs: int, outputs: int, history: int) -> Any:
        """Make the network: (B, inputs), memories (B, layers, hidden) -> (B, outputs), memories.

        What a layer hands up is normalized and thinned out, what it carries is not.
        """
        import torch
        from torch import Tensor, nn

        del history  # the memory holds it
        size, depth, cell, bias = self.hidden_size, self.layers, self.cell, self.bias
        wide, memories = self.gates * size, self.memories

        class Network(nn.Module):
            carry_shapes = ((depth, size),) * memories

            def __init__(self, settings: Recurrent) -> None:
                super().__init__()
                sizes = [inputs] + [size] * (depth - 1)
                self.from_input = nn.ModuleList(nn.Linear(n, wide, bias=bias) for n in sizes)
                self.from_hidden = nn.ModuleList(nn.Linear(size, wide, bias=bias) for _ in sizes)
                self.head = nn.Linear(size + inputs, outputs, bias=bias)
                self.norms = nn.ModuleList(normalizer(size, settings) for _ in sizes)
                self.dropout = nn.Dropout(settings.dropout)

            def warm_up(self, features: Tensor) -> tuple[Tensor, ...]:
                nothing = features.new_zeros(features.shape[0], depth, size)
                carry = (nothing,) * memories
                for row in features.unbind(1):
                    _, *rest = self.advance(row, *carry)
                    carry = tuple(rest)
                return carry

            def advance(self, features: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
                below = features
                after: list[tuple[Tensor, ...]] = []  # so that torch's compiler reads it
                for layer in range(depth):
                    memory = [part[:, layer] for part in carry]
                    recalled = self.from_hidden[layer](memory[0])
                    after.append(cell(self.from_input[layer](below), recalled, *memory))
                    below = self.dropout(self.norms[layer](after[-1][0]))
                return below, *(torch.stack(parts, dim=1) for parts in zip(*after, strict=True))

            def forward(self, features: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
                top, *after = self.advance(features, *carry)
                return self.head(torch.cat([top, features], dim=1)), *after

        return Network(self)
