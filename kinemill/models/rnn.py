"""The plain recurrent network (Elman, 1990): h' = act(W x + U h + b)."""

from typing import Any, Literal

from pydantic import PositiveInt

from kinemill.models._parts import activation
from kinemill.spec.plugins import MODELS, Model


@MODELS.register("rnn")
class RNN(Model):
    """Settings of the recurrent network."""

    type: Literal["rnn"] = "rnn"
    hidden_size: PositiveInt = 128
    layers: PositiveInt = 1
    activation: Literal["tanh", "silu", "elu"] = "tanh"

    def build(self, inputs: int, outputs: int, history: int) -> Any:
        """Make the network: (B, inputs), carry (B, layers, hidden) -> (B, outputs), carry."""
        import torch
        from torch import Tensor, nn

        del history  # the hidden state holds it
        hidden_size, depth, act = self.hidden_size, self.layers, activation(self.activation)

        class Network(nn.Module):
            carry_shapes = ((depth, hidden_size),)

            def __init__(self) -> None:
                super().__init__()
                sizes = [inputs] + [hidden_size] * depth
                self.from_input = nn.ModuleList(nn.Linear(n, hidden_size) for n in sizes[:-1])
                self.from_hidden = nn.ModuleList(
                    nn.Linear(hidden_size, hidden_size) for _ in range(depth)
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
                    memory = self.from_hidden[layer](hidden[:, layer])
                    below = act(self.from_input[layer](below) + memory)
                    after.append(below)
                return below, torch.stack(after, dim=1)

            def forward(self, features: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
                top, hidden = self.advance(features, hidden)
                return self.head(torch.cat([top, features], dim=1)), hidden

        return Network()
