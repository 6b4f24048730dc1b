"""A polynomial of the newest rows: it extrapolates where a network of tanh units stays put.

A linear map of the whole window, and of all monomials of degree 2 to `degree` of its newest rows,
as in the polynomial nonlinear state-space models of Paduart et al. (2010).
"""

from itertools import combinations_with_replacement
from math import comb
from typing import Any, Literal

from pydantic import Field, PositiveInt

from kinemill.errors import BadInput
from kinemill.spec.plugins import MODELS, Model

MOST = 5000  # monomials


@MODELS.register("polynomial")
class Polynomial(Model):
    """Settings of the polynomial."""

    type: Literal["polynomial"] = "polynomial"
    degree: int = Field(default=3, ge=2, le=7)
    rows: PositiveInt = Field(default=1, description="newest rows whose products enter")

    def build(self, inputs: int, outputs: int, history: int) -> Any:
        """Make the network: (B, inputs), carry (B, history - 1, inputs) -> (B, outputs), carry.

        Raises:
            BadInput: more monomials than anybody can learn.
        """
        import torch
        from torch import Tensor, nn

        width = min(self.rows, history) * inputs
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
                flat = window.flatten(1)
                newest = flat[:, flat.shape[1] - width :]
                terms = [flat, *(self.products(newest, degree) for degree in picked)]
                return self.head(torch.cat(terms, dim=1)), window[:, 1:]

            def products(self, values: Tensor, degree: int) -> Tensor:
                """(B, width) -> (B, monomials of one degree)."""
                chosen = self.get_buffer(f"picked_{degree}")
                factors = values.index_select(1, chosen.flatten()).unflatten(1, (-1, degree))
                product, *others = factors.unbind(2)
                for factor in others:
                    product = product * factor
                return product

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
