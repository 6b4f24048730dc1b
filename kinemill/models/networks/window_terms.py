"""Terms of a window of features, and their products. Symbols: B batch, H history, F features."""

from collections.abc import Mapping
from functools import reduce

import torch
from torch import Tensor, nn

from kinemill.models.networks.regression import Terms

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
        factors = (self.get_buffer(f"columns_{degree}") for degree in self.degrees)
        return torch.cat([products(values, columns) for columns in factors], dim=1)


def products(values: Tensor, factors: Tensor) -> Tensor:
    """Return products of values: (B, Z), columns (K, D) int64 -> (B, K)."""
    gathered = values.index_select(1, factors.flatten()).unflatten(1, (-1, factors.shape[1]))
    return reduce(torch.mul, gathered.unbind(2))


class WindowTerms(Terms):
    """Products of the newest values, then all values, newest first: (B, H, F) -> (B, P).

    Args:
        inputs: F.
        history: H.
        monomials: by degree, which of the newest `width` values are multiplied; empty: none.
        width: number of newest values that enter products.
    """

    def __init__(
        self, inputs: int, history: int, monomials: Monomials | None = None, width: int = 0
    ) -> None:
        super().__init__()
        self.columns = inputs
        self.width = width
        self.products = Products(monomials) if monomials else None
        first = self.products.count if self.products is not None else 0
        self.counts = tuple(first + inputs * rows for rows in range(1, history + 1))

    def forward(self, rows: Tensor) -> Tensor:
        """Return the terms: (B, H, F), newest first -> (B, P)."""
        flat = rows.flatten(1)
        if self.products is None:
            return flat
        return torch.cat([self.products(flat[:, : self.width]), flat], dim=1)
