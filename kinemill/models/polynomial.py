"""A polynomial of the newest rows, which extrapolates where a network of tanh units saturates.

A linear map of the whole window, and of all monomials of degree 2 to `degree` of its newest rows,
as in the polynomial nonlinear state-space models of Paduart et al. (2010). Its initial weights are
the least-squares solution over all training rows; as the residual of another model they are zero.
"""

from collections.abc import Sequence
from math import comb
from typing import Literal

from pydantic import Field

from kinemill.models._monomials import monomials_of
from kinemill.task import MODELS, Candidate, Model, RatioOrZero, RowCount, TaskFacts, TorchModule

FEW_MONOMIALS = 600  # that a portfolio fits within seconds


@MODELS.register("polynomial")
class Polynomial(Model):
    """Products of channels solved in closed form; for smooth nonlinearities and few channels."""

    type: Literal["polynomial"] = "polynomial"
    degree: int = Field(default=3, ge=2, le=7)
    """highest degree of a product of inputs"""
    rows: RowCount = 1
    """number of newest rows whose products are terms"""
    ridge: RatioOrZero = 1e-6
    """penalty on weights, relative to the rows fitted"""

    @classmethod
    def candidates(cls, facts: TaskFacts) -> Sequence[Candidate]:
        """Propose degrees 2 and 3 of one and two rows, as long as the terms are few."""
        width = len(facts.states) + len(facts.actions) + len(facts.angles & {*facts.states})
        return [
            Candidate(
                f"polynomial, degree {degree} of {rows} rows, history {history}",
                {"model": {"type": "polynomial", "degree": degree, "rows": rows}}
                | {"history": history, "optimizer": {"lr": 1e-5}},
            )
            for history in dict.fromkeys([facts.history, min(10, facts.longest)])
            for degree, rows in ((2, 1), (3, 1), (3, 2))
            if rows <= history and comb(rows * width + degree, degree) <= FEW_MONOMIALS
        ]

    def build(self, inputs: int, outputs: int, history: int) -> TorchModule:
        """Make the `Regression` on products and values of the window.

        Raises:
            BadInput: There are too many monomials.
        """
        from kinemill.models.networks.regression import Regression
        from kinemill.models.networks.window_terms import WindowTerms

        width = min(self.rows, history) * inputs
        terms = WindowTerms(inputs, history, monomials_of(width, self.degree), width)
        return Regression(terms, history, outputs, self.ridge)
