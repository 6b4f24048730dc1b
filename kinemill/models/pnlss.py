"""A polynomial nonlinear state space model, PNLSS (Paduart et al., Automatica 46, 2010).

An encoder estimates the hidden state x once from the history. Then x[k+1] is a linear map of x and
the inputs u, plus all their products of degree 2 to `degree`; the outputs are linear in both. For
lightly damped structures with a polynomial nonlinearity, such as a hardening spring, whose state is
measured in part. The initial weights are a stable linear model by subspace identification. Fit it
with `learn.gauss_newton`: it has few parameters, and simulation errors of long rollouts count.
"""

from collections.abc import Sequence
from math import comb
from typing import Literal

from pydantic import Field

from kinemill.models._encoded_state import EncodedShape, EncodedStateModel
from kinemill.models._monomials import monomials_of
from kinemill.task import MODELS, Candidate, TaskFacts, TorchModule, Width

FEW_MONOMIALS = 60  # of a candidate; its Gauss-Newton fit takes seconds


@MODELS.register("pnlss")
class Pnlss(EncodedStateModel):
    """A polynomial state space; for lightly damped structures with a polynomial nonlinearity."""

    type: Literal["pnlss"] = "pnlss"
    size: Width = 2
    """hidden states"""
    degree: int = Field(default=3, ge=2, le=7)
    """highest degree of a product of states and inputs"""

    @classmethod
    def candidates(cls, facts: TaskFacts) -> Sequence[Candidate]:
        """Propose one and two hidden states more than measured ones, as far as terms are few."""
        rows = min(10, facts.longest)
        horizon = min(200, facts.horizon)
        states = len(facts.states)
        width = len(facts.states) + len(facts.actions)
        return [
            Candidate(
                f"polynomial state space, {states + more} states, history {rows}",
                {
                    "model": {"type": "pnlss", "size": states + more},
                    "outputs": {name: {"relation": "equal", "of": name} for name in facts.states},
                    "history": rows,
                    "horizon": horizon,
                    "gauss_newton": {"windows": 256, "iterations": 20},
                    "optimizer": {"lr": 1e-5},
                },
                trains=True,
            )
            for more in (1, 2)
            if comb(width + more + 3, 3) <= FEW_MONOMIALS and not facts.angles & {*facts.states}
        ]

    def make(self, shape: EncodedShape) -> TorchModule:
        """Make the `PnlssNetwork`.

        Raises:
            BadInput: There are too many monomials.
        """
        from kinemill.models.networks.pnlss import PnlssNetwork

        monomials = monomials_of(self.size + len(shape.input_columns), self.degree)
        return PnlssNetwork(self.size, shape, monomials)
