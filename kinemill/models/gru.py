"""Gated recurrent units (Cho et al., 2014, with the reset gate after the product as in cuDNN).

Written as plain operations: ONNX Runtime's GRU node swallows NaN, products and sums do not.
"""

from typing import Any, Literal

from pydantic import PositiveInt

from kinemill.spec.plugins import MODELS, Model


@MODELS.register("gru")
class GRU(Model):
    """Settings of the recurrent network."""

    type: Literal["gru"] = "gru"
    hidden_size: PositiveInt = 128
    layers: PositiveInt = 1

    def build(self, inputs: int, outputs: int, history: int) -> Any:
        """Make the network: (B, inputs), carry (B, layers, hidden) -> (B, outputs), carry."""
        import torch
        from torch import Tensor, nn

        del history  # the hidden state holds it
        hidden_size, depth = self.hidden_size, self.layers

        class Network(nn.Module):
            carry_shapes = ((depth, hidden_size),)

            def __init__(self) -> None:
                super().__init__()
                sizes = [inputs] + [hidden_size] * depth
                self.from_input = nn.ModuleList(nn.Linear(n, 3 * hidden_size) for n in sizes[:-1])
                self.from_hidden = nn.ModuleList(
                    nn.Linear(hidden_size, 3 * hidden_size) for _ in range(depth)
                )
                self.head = nn.Linear(hidden_size + inputs, outputs)

            def warm_up(self, features: Tensor) -> tuple[Tensor]:
                hidden = features.new_zeros(features.shape[0], depth, hidden_size)
                for row in features.unbind(1):
                    _, hidden = self.advance(row, hidden)
                return (hidden,)

            def advance(self, features: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
                below, after = features, list[Tensor]()
                for layer in range(depth):
                    below = self.cell(layer, below, hidden[:, layer])
                    after.append(below)
                return below, torch.stack(after, dim=1)

            def cell(self, layer: int, x: Tensor, h: Tensor) -> Tensor:
                """r, z: reset and update gate; n: candidate; h' = (1 - z) n + z h."""
                xr, xz, xn = self.from_input[layer](x).chunk(3, dim=1)
                hr, hz, hn = self.from_hidden[layer](h).chunk(3, dim=1)
                r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
                n = torch.tanh(xn + r * hn)
                return n + z * (h - n)

            def forward(self, features: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
                top, hidden = self.advance(features, hidden)
                return self.head(torch.cat([top, features], dim=1)), hidden

        return Network()
