"""Network of the polynomial nonlinear state space. Symbols: see `encoded_state`."""

import torch
from torch import Tensor, nn

from kinemill.models._encoded_state import EncodedShape
from kinemill.models.networks.encoded_state import EncodedStateNetwork
from kinemill.models.networks.subspace import StateSpace
from kinemill.models.networks.window_terms import Monomials, Products


class PnlssNetwork(EncodedStateNetwork):
    """x[k+1] = A x + B u + E ζ(x, u) + b; y[k+1] = C x[k+1] + D u + d, with monomials ζ.

    Paduart et al. (2010), equation 5, with a linear output equation. Output k + 1 is predicted from
    inputs up to k; D stands for inputs that are sampled with the output they move.

    Args:
        size: number of hidden states.
        shape: inputs and outputs.
        monomials: by degree, which of x and u are multiplied.
    """

    fits_sequences = True

    def __init__(self, size: int, shape: EncodedShape, monomials: Monomials) -> None:
        super().__init__(size, shape)
        width = size + len(shape.input_columns)
        self.products = Products(monomials)
        self.linear, self.head = nn.Linear(width, size), nn.Linear(width, len(shape.bounds))
        self.terms = nn.Linear(self.products.count, size, bias=False)
        nn.init.zeros_(self.terms.weight)  # random products would grow without bound

    def start_as(self, model: StateSpace) -> None:
        """Set the weights to a linear model, and those of products to zero."""
        transition, driven, shift = model.update
        read, through, level = model.direct
        self.linear.weight.copy_(torch.cat([transition, driven], dim=1))
        self.linear.bias.copy_(shift)
        self.head.weight.copy_(torch.cat([read, through], dim=1))
        self.head.bias.copy_(level)
        self.terms.weight.zero_()

    def advance(self, x: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Advance one row: (B, size), (B, m) -> (B, size), outputs (B, O)."""
        joined = torch.cat([x, inputs], dim=1)
        x = self.linear(joined) + self.terms(self.products(joined))
        return x, self.read(x, inputs)

    def read(self, x: Tensor, inputs: Tensor) -> Tensor:
        """Return the outputs (B, O) at x (B, size), after inputs (B, m) of the row before."""
        return self.head(torch.cat([x, inputs], dim=1))
