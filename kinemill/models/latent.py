"""A latent state space model, for systems that are measured in part, such as two coupled tanks.

An encoder estimates the hidden state x once from the history. Then x[k+1] = x + A x + B u + a
network of both, and the outputs follow from x alone. This is the SUBNET of Beintema et al. (2021)
with outputs that may saturate. The initial weights are a stable chain of lags, or a linear model
by subspace identification, to which the network adds nothing at first.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from kinemill.errors import BadInput
from kinemill.models._layers import Activation
from kinemill.models._layout import ModelLayout, feature_columns
from kinemill.task.channels import Channel
from kinemill.task.plugins import MODELS, Model, unknown_channels
from kinemill.task.portfolio import Candidate, TaskFacts


@MODELS.register("latent")
class Latent(Model):
    """Settings of the latent state space."""

    type: Literal["latent"] = "latent"
    size: PositiveInt = Field(default=4, description="hidden states")
    hidden_size: PositiveInt = Field(default=16, description="hidden units of the update")
    lag: PositiveFloat = Field(default=10.0, description="rows of each lag of the initial chain")
    start: Literal["lags", "subspace"] = Field(
        default="lags",
        description="initial weights; lags: a chain of lags; subspace: the linear model that "
        "subspace identification finds in the training rows",
    )
    activation: Activation = Field(default="tanh", description="activation function of the update")
    limits: dict[str, tuple[float, float]] = Field(
        default={}, description="where a sensor saturates, by state, in its unit"
    )

    def problems(self, channels: Mapping[str, Channel]) -> list[tuple[tuple[str | int, ...], str]]:
        """Return limits of unknown states, and empty intervals."""
        states = {name: one for name, one in channels.items() if one.role == "state"}
        problems = unknown_channels(list(self.limits), states, "limits")
        return problems + [
            (("limits", name), f"{low} is not below {high}")
            for name, (low, high) in self.limits.items()
            if not low < high
        ]

    @classmethod
    def candidates(cls, facts: TaskFacts) -> Sequence[Candidate]:
        """Propose two hidden states more than there are measured ones, over long rollouts."""
        rows, horizon = min(20, facts.longest), min(100, facts.horizon)
        common: dict[str, Any] = {
            "outputs": {name: {"relation": "equal", "of": name} for name in facts.states},
            "history": rows,
            "horizon": horizon,
            "optimizer": {"lr": 2e-3},
        }
        size = len(facts.states) + 2
        model = {"type": "latent", "size": size, "hidden_size": 16}
        return [
            Candidate(
                f"latent state from {start}, history {rows}",
                {**common, "model": {**model, "start": start}},
                trains=True,
            )
            for start in ("lags", "subspace")
        ]

    def build_for(self, layout: ModelLayout, scale: Mapping[str, Any]) -> Any:
        """Make the `LatentNetwork`.

        Raises:
            BadInput: A limit is of a state whose output is not its value.
        """
        from kinemill.models.networks.latent import LatentNetwork

        bounds: list[tuple[float, float] | None] = []
        for number, (name, output) in enumerate(layout.outputs):
            limits = self.limits.get(output.of)
            if limits and output.relation != "equal":
                raise BadInput(
                    f"learn.model.limits: {output.of}",
                    f"its output {name!r} is a {output.relation}",
                    expected="relation: equal, so that the output is the value that saturates",
                )
            mean, std = (float(scale[f"output_{part}"][number]) for part in ("mean", "std"))
            low, high = ((edge - mean) / std for edge in limits or (0.0, 1.0))
            bounds.append((low, high) if limits else None)
        actions = len(layout.states)  # the first column of the actions
        input_columns = [n for n, column in enumerate(feature_columns(layout)) if column >= actions]
        return LatentNetwork(self, layout.features, layout.history, bounds, input_columns)

    def build(self, inputs: int, outputs: int, history: int) -> Any:
        """Make the network without limits, as a part of another model; all features act on it."""
        from kinemill.models.networks.latent import LatentNetwork

        return LatentNetwork(self, inputs, history, [None] * outputs, range(inputs))
