"""A latent state space model, for systems that are measured in part, such as two coupled tanks.

An encoder estimates the hidden state x once from the history. Then x[k+1] = x + A x + B u + a
network of both, and the outputs follow from x alone. This is the SUBNET of Beintema et al. (2021)
with outputs that may saturate. The initial weights are a stable chain of lags, or a linear model
by subspace identification, to which the network adds nothing at first.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from kinemill.models._encoded_state import OFFSET, EncodedShape, EncodedStateModel, few_rows
from kinemill.models._layers import Activation
from kinemill.task import MODELS, Candidate, Ratio, TaskFacts, TorchModule, Width


@MODELS.register("latent")
class Latent(EncodedStateModel):
    """A latent state space; for systems of which only some states are measured."""

    type: Literal["latent"] = "latent"
    size: Width = 4
    """hidden states"""
    hidden_size: Width = 16
    """hidden units of the update"""
    lag: Ratio = 10.0
    """rows of each lag of the initial chain"""
    start: Literal["lags", "subspace"] = "lags"
    """initial weights; lags: a chain of lags; subspace: the linear model that subspace
    identification finds in the training rows"""
    activation: Activation = "tanh"
    """activation function of the update"""
    offset: bool = Field(default=True, description=OFFSET)

    @classmethod
    def candidates(cls, facts: TaskFacts) -> Sequence[Candidate]:
        """Propose two hidden states more than there are measured ones, over long rollouts.

        Without velocities of measured states, a small model with one more state is also fitted to
        the longest rollouts.
        """
        rows = min(20, facts.longest)
        horizon = min(100, facts.horizon)
        common: dict[str, object] = {
            "outputs": {name: {"relation": "equal", "of": name} for name in facts.states},
            "history": rows,
            "horizon": horizon,
            "optimizer": {"lr": 2e-3},
        }
        size = len(facts.states) + 2
        model = {"type": "latent", "size": size, "hidden_size": 16}
        proposals = [
            Candidate(
                f"latent state from {start}, history {rows}",
                {**common, "model": {**model, "start": start}},
                trains=True,
            )
            for start in ("lags", "subspace")
        ]
        if rows := few_rows(facts, len(facts.states) + 1):
            small = {"size": len(facts.states) + 1, "hidden_size": 6, "lag": rows}
            settings = {
                **common,
                "model": {"type": "latent", **small, "limits": dict(facts.saturated)},
                "history": rows,
                "horizon": facts.rollout,
                "gauss_newton": {"windows": 96, "iterations": 12, "ridge": 1e-3, "n_init": 2},
                "optimizer": {"lr": 1e-4},
            }
            name = f"latent state in free run, {small['size']} states, history {rows}"
            proposals.append(Candidate(name, settings, trains=True))
        return proposals

    def make(self, shape: EncodedShape) -> TorchModule:
        """Make the `LatentNetwork`."""
        from kinemill.models.networks.latent import LatentNetwork

        network = LatentNetwork(shape, self.size, self.hidden_size, self.lag, self.activation)
        network.fits_sequences = self.start == "subspace"
        return network
