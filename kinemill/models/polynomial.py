"""A polynomial of the newest rows: it extrapolates where a network of tanh units stays put.

A linear map of the whole window, and of all monomials of degree 2 to `degree` of its newest rows,
as in the polynomial nonlinear state-space models of Paduart et al. (2010). It starts as the
least-squares solution over all training rows, as part of a linear model as nothing.
"""

from collections.abc import Iterable
from functools import reduce
from itertools import combinations_with_replacement
from math import comb
from typing import Any, Literal

from pydantic import Field, PositiveInt

from kinemill.errors import BadInput
from kinemill.models._least_squares import least_squares
from kinemill.task.plugins import MODELS, Model

MOST = 5000  # monomials


@MODELS.register("polynomial")
class Polynomial(Model):
    """Settings of the polynomial."""

    type: Literal["polynomial"] = "polynomial"
    degree: int = Field(default=3, ge=2, le=7)
    rows: PositiveInt = Field(default=1, description="newest rows whose products enter")
    ridge: float = Field(
        default=1e-6, ge=0.0, description="penalty on weights, relative to the rows fitted"
    )

    def build(self, inputs: int, outputs: int, history: int) -> Any:
        """Make the network: (B, inputs), carry (B, history - 1, inputs) -> (B, outputs), carry.

        Raises:
            BadInput: more monomials than anybody can learn.
        """
        import torch
        from torch import Tensor, nn

        width, ridge = min(self.rows, history) * inputs, self.ridge
        picked = _monomials(width, self.degree)

        class Network(nn.Module):
            carry_shapes = ((history - 1, inputs),)

            def __init__(self) -> None:
                super().__init__()
                for degree, each in picked.items():
                    self.register_buffer(f"picked_{degree}", torch.tensor(each), persistent=False)
                terms = history * inputs + sum(len(each) for each in picked.values())
                self.head = nn.Linear(terms, outputs)

            def warm_up(self, features: Tensor) -> tuple[Tensor]:
                return (features,)

            def forward(self, features: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
                window = torch.cat([window, features.unsqueeze(1)], dim=1)
                return self.head(self.terms(window)), window[:, 1:]

            def terms(self, window: Tensor) -> Tensor:
                """(B, history, inputs) -> (B, terms)."""
                flat = window.flatten(1)
                newest = flat[:, flat.shape[1] - width :]
                products = (self.products(newest, degree) for degree in picked)
                return torch.cat([flat, *products], dim=1)

            def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
                """Set all weights to the least-squares solution."""
                shown = ((self.terms(features), wanted) for features, wanted in batches)
                weight, bias = least_squares(shown, ridge)
                self.head.weight.copy_(weight)
                self.head.bias.copy_(bias)

            def products(self, values: Tensor, degree: int) -> Tensor:
                """(B, width) -> (B, monomials of one degree)."""
                chosen = self.get_buffer(f"picked_{degree}")
                factors = values.index_select(1, chosen.flatten()).unflatten(1, (-1, degree))
                return reduce(torch.mul, factors.unbind(2))

        return Network()


def _monomials(width: int, degree: int) -> dict[int, list[tuple[int, ...]]]:
    """Return which of `width` values are multiplied, for each degree from 2 on."""
    if (count := comb(width + degree, degree)) > MOST:
        message = f"{count} monomials of {width} values; lower `degree` or `rows`"
        raise BadInput("learn.model", message, expected=f"at most {MOST}")
    return {
        each: list(combinations_with_replacement(range(width), each))
        for each in range(2, degree + 1)
    }
