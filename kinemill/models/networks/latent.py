"""Network of the latent state space. Symbols: see `encoded_state`."""

import torch
from torch import Tensor, nn

from kinemill.models._encoded_state import EncodedShape
from kinemill.models.networks.encoded_state import EncodedStateNetwork
from kinemill.models.networks.layers import activation
from kinemill.models.networks.subspace import StateSpace


class LatentNetwork(EncodedStateNetwork):
    """x[k+1] = x + A x + B u + a network of x and u; outputs follow from x[k+1] alone.

    Args:
        shape: inputs and outputs.
        size: number of hidden states.
        hidden_size: hidden units of the update.
        lag: rows of each lag of the initial chain.
        activation_name: name of the activation of the update.
    """

    def __init__(
        self, shape: EncodedShape, size: int, hidden_size: int, lag: float, activation_name: str
    ) -> None:
        super().__init__(size, shape)
        width = size + len(shape.input_columns)
        self.act = activation(activation_name)
        self.linear = nn.Linear(width, size)
        self.up, self.down = nn.Linear(width, hidden_size), nn.Linear(hidden_size, size)
        self.head = nn.Linear(size, len(shape.bounds))
        self.initialize(lag)

    @torch.no_grad()
    def initialize(self, lag: float) -> None:
        """Set the weights to a chain of lags of `lag` rows each, whose last states are read."""
        outputs, size = self.head.weight.shape
        # dx = (previous state - x) / lag: a first-order lag per state, the input enters the first.
        weight = self.linear.weight.mul_(0.1 / lag)
        weight[:, :size] += (torch.diag(torch.ones(size - 1), -1) - torch.eye(size)) / lag
        weight[0, size:] += 1.0 / lag
        self.linear.bias.zero_()
        self.down.weight.mul_(0.1 / lag)
        self.down.bias.zero_()
        self.head.weight.copy_(torch.eye(size).flip(0)[torch.arange(outputs) % size])

    def start_as(self, model: StateSpace) -> None:
        """Set the weights to a linear model, and those of the nonlinear part to zero."""
        transition, driven, shift = model.update
        size = len(transition)
        self.linear.weight.copy_(torch.cat([transition - torch.eye(size), driven], dim=1))
        self.linear.bias.copy_(shift)
        self.head.weight.copy_(model.head[0])
        self.head.bias.copy_(model.head[1])
        self.down.weight.zero_()

    def advance(self, x: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Advance one row: (B, size), (B, m) -> (B, size), outputs (B, O)."""
        joined = torch.cat([x, inputs], dim=1)
        x = x + self.linear(joined) + self.down(self.act(self.up(joined)))
        return x, self.head(x)

    def read(self, x: Tensor, inputs: Tensor) -> Tensor:
        """Return the outputs (B, O) at x (B, size); they do not depend on `inputs` directly."""
        del inputs
        return self.head(x)
