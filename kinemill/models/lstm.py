"""Long short-term memory (Hochreiter and Schmidhuber, 1997, with the forget gate of Gers, 2000).

Written as plain operations: ONNX Runtime's LSTM node swallows NaN, products and sums do not.
"""

from typing import Any, Literal

from pydantic import PositiveInt

from kinemill.spec.plugins import MODELS, Model


@MODELS.register("lstm")
class LSTM(Model):
    """Settings of the recurrent network."""

    type: Literal["lstm"] = "lstm"
    hidden_size: PositiveInt = 128
    layers: PositiveInt = 1

    def build(self, inputs: int, outputs: int, history: int) -> Any:
        """Make the network: (B, inputs), hidden and cell (B, layers, hidden) -> (B, outputs)."""
        import torch
        from torch import Tensor, nn

        del history  # hidden state and cell hold it
        hidden_size, depth = self.hidden_size, self.layers

        class Network(nn.Module):
            carry_shapes = ((depth, hidden_size), (depth, hidden_size))

            def __init__(self) -> None:
                super().__init__()
                sizes = [inputs] + [hidden_size] * depth
                self.from_input = nn.ModuleList(nn.Linear(n, 4 * hidden_size) for n in sizes[:-1])
                self.from_hidden = nn.ModuleList(
                    nn.Linear(hidden_size, 4 * hidden_size) for _ in range(depth)
                )
                self.head = nn.Linear(hidden_size + inputs, outputs)

            def warm_up(self, features: Tensor) -> tuple[Tensor, Tensor]:
                hidden = features.new_zeros(features.shape[0], depth, hidden_size)
                cell = torch.zeros_like(hidden)
                for row in features.unbind(1):
                    _, hidden, cell = self.advance(row, hidden, cell)
                return hidden, cell

            def advance(
                self, features: Tensor, hidden: Tensor, cell: Tensor
            ) -> tuple[Tensor, Tensor, Tensor]:
                below, hiddens, cells = features, list[Tensor](), list[Tensor]()
                for layer in range(depth):
                    below, kept = self.unit(layer, below, hidden[:, layer], cell[:, layer])
                    hiddens.append(below)
                    cells.append(kept)
                return below, torch.stack(hiddens, dim=1), torch.stack(cells, dim=1)

            def unit(self, layer: int, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
                """i, f, o: input, forget and output gate; g: candidate; c' = f c + i g."""
                gates = self.from_input[layer](x) + self.from_hidden[layer](h)
                i, f, g, o = gates.chunk(4, dim=1)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                return torch.sigmoid(o) * torch.tanh(c), c

            def forward(
                self, features: Tensor, hidden: Tensor, cell: Tensor
            ) -> tuple[Tensor, Tensor, Tensor]:
                top, hidden, cell = self.advance(features, hidden, cell)
                return self.head(torch.cat([top, features], dim=1)), hidden, cell

        return Network()
