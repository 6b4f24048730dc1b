"""Polynomial of the newest rows. Symbols: B batch, F features, H history, O outputs, P terms."""

from collections.abc import Iterable, Mapping
from functools import reduce

import torch
from torch import Tensor, nn

from kinemill.models.networks.layers import Network
from kinemill.models.networks.linear import least_squares

Monomials = Mapping[int, list[tuple[int, ...]]]


class Products(nn.Module):
    """(B, width) -> (B, count), products of values by degree.

    Args:
        monomials: by degree, which values are multiplied.
    """

    def __init__(self, monomials: Monomials) -> None:
        super().__init__()
        self.degrees = tuple(monomials)
        self.count = sum(len(columns) for columns in monomials.values())
        for degree, columns in monomials.items():
            self.register_buffer(f"columns_{degree}", torch.tensor(columns), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Return all products, those of degree 2 first: (B, width) -> (B, count)."""
        return torch.cat([self.of_degree(values, degree) for degree in self.degrees], dim=1)

    def of_degree(self, values: Tensor, degree: int) -> Tensor:
        """Return the products of one degree: (B, width) -> (B, monomials)."""
        columns = self.get_buffer(f"columns_{degree}")
        factors = values.index_select(1, columns.flatten()).unflatten(1, (-1, degree))
        return reduce(torch.mul, factors.unbind(2))


class PolynomialNetwork(Network):
    """(B, F), window (B, H - 1, F) -> (B, O), window.

    Args:
        inputs: F.
        outputs: O.
        history: H.
        monomials: by degree, which of the newest `width` values are multiplied.
        width: number of newest values that enter products.
        ridge: penalty on squared weights, relative to the number of rows fitted.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        history: int,
        monomials: Monomials,
        width: int,
        ridge: float,
    ) -> None:
        super().__init__()
        self.carry_shapes = ((history - 1, inputs),)
        self.width, self.ridge, self.products = width, ridge, Products(monomials)
        self.head = nn.Linear(history * inputs + self.products.count, outputs)

    def warm_up(self, features: Tensor) -> tuple[Tensor]:
        """Return the window: features (B, H - 1, F), unchanged."""
        return (features,)

    def forward(self, features: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs (B, O) and the next window (B, H - 1, F)."""
        window = torch.cat([window, features.unsqueeze(1)], dim=1)
        return self.head(self.terms(window)), window[:, 1:]

    def terms(self, window: Tensor) -> Tensor:
        """Return all values of the window, then the monomials by degree: (B, H, F) -> (B, P)."""
        flat = window.flatten(1)
        newest = flat[:, flat.shape[1] - self.width :]
        return torch.cat([flat, self.products(newest)], dim=1)

    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set all weights to the least-squares solution of (N, H, F) and targets (N, O)."""
        terms = ((self.terms(features), targets) for features, targets in batches)
        weight, bias = least_squares(terms, self.ridge)
        self.head.weight.copy_(weight)
        self.head.bias.copy_(bias)
