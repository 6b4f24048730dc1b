"""A linear model of the last rows with a few nonlinear terms that forward selection finds (NARX).

The nonlinear autoregressive model with exogenous inputs of Billings, Nonlinear System
Identification (2013). All linear terms of `arx` are in it. Products of levels and changes, and
non-smooth functions such as dry friction needs, are added one by one, in the order in which they
reduce the error of one step (orthogonal forward regression, section 3.2). How many of them stay is
decided by the error in free run over a share of the training rows that is left out of the
selection, because an error of one step does not predict that of a rollout.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from pydantic import Field, PositiveInt

from kinemill.models._layout import ModelLayout
from kinemill.models._regression import RegressionModel
from kinemill.task import MODELS, Candidate, RowCount, TaskFacts, TorchModule

MAX_CHANNELS = 60  # in a task, up to which a portfolio includes it
MAX_PARAMETERS = 200
MAX_TERMS = 30  # of a model that is fitted to rollouts
SHORT = 5
LONG = 20  # histories to try in addition to the best in closed form, rows


@MODELS.register("narx")
class Narx(RegressionModel):
    """`arx` with a few selected products; for smooth nonlinear systems with few channels."""

    type: Literal["narx"] = "narx"
    terms: PositiveInt = Field(default=30, le=200)
    """most nonlinear terms"""
    degree: int = Field(default=3, ge=1, le=5)
    """most factors of a term"""
    rows: RowCount = 2
    """number of newest rows whose values are factors"""

    @classmethod
    def candidates(cls, facts: TaskFacts) -> Sequence[Candidate]:
        """Propose the best history of a linear model, a short one and a long one.

        Short histories with few parameters are also fitted to rollouts.
        """
        if len(facts.states) + len(facts.actions) > MAX_CHANNELS:
            return []
        common: dict[str, object] = {"outputs": facts.deltas, "optimizer": {"lr": 1e-5}}
        histories = [facts.history, *(min(rows, facts.longest) for rows in (SHORT, LONG))]
        proposals = [
            Candidate(
                f"narx, history {rows}", {**common, "model": {"type": "narx"}, "history": rows}
            )
            for rows in dict.fromkeys(histories)
        ]
        width = len(facts.states) + len(facts.actions) + len(facts.angles)
        for rows in dict.fromkeys(min(rows, facts.longest) for rows in (SHORT, 2 * SHORT)):
            most = MAX_PARAMETERS // len(facts.states) - rows * width - 1
            if most > 0:
                settings = {
                    "model": {"type": "narx", "terms": min(most, MAX_TERMS)},
                    "history": rows,
                    "horizon": min(100, facts.horizon),
                    "gauss_newton": {"windows": 256, "iterations": 15, "ridge": 1e-3},
                }
                name = f"narx in free run, history {rows}"
                proposals.append(Candidate(name, {**common, **settings}, trains=True))
        return proposals

    def terms_of(
        self, layout: ModelLayout, relative: Sequence[bool], scale: Mapping[str, object]
    ) -> TorchModule:
        """Make the `NarxTerms`."""
        del scale
        from kinemill.models.networks.narx_terms import NarxTerms

        return NarxTerms(layout, relative, self.rows, self.degree, self.terms)

    def network(self) -> Callable[..., TorchModule]:
        """Return `kinemill.models.networks.narx.Narx`, which selects terms."""
        from kinemill.models.networks import narx

        return narx.Narx
