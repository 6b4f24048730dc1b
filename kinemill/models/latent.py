"""A latent state: for systems of which the sensors show a part, such as the lower of two tanks.

An encoder looks at the history once and says where the hidden state x is; from there on
x[k+1] = x + A x + B u + a network of both, and the states come from x alone: what is fed back is
not looked at again. As the SUBNET of Beintema et al. (2021), with an output that may saturate. It
starts as a chain of lags, which is stable, and what most of what hides behind a sensor is like.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from kinemill.errors import BadInput
from kinemill.models._layers import Activation
from kinemill.task.plugins import MODELS, Model, unknown_channels


@MODELS.register("latent")
class Latent(Model):
    """Settings of the latent state space."""

    type: Literal["latent"] = "latent"
    size: PositiveInt = Field(default=4, description="hidden states")
    hidden_size: PositiveInt = Field(default=16, description="units of the update's network")
    lag: PositiveFloat = Field(default=10.0, description="rows of each lag that it starts as")
    activation: Activation = "tanh"
    limits: dict[str, tuple[float, float]] = Field(
        default={}, description="where a sensor saturates, by state, in its unit; softly"
    )

    def problems(self, channels: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
        """Return limits of what is no state, or that are none."""
        states = {name: one for name, one in channels.items() if one.role == "state"}
        found = unknown_channels(list(self.limits), states, "limits")
        return found + [
            (("limits", name), f"{low} is not below {high}")
            for name, (low, high) in self.limits.items()
            if not low < high
        ]

    def build_for(self, layout: Any, scale: Mapping[str, Any]) -> Any:
        """Make the network: (B, F), carry (history - 1, F), (1,), (size,) -> (B, O), carry.

        Raises:
            BadInput: a limit of a state whose output is not its value.
        """
        bounds: list[tuple[float, float] | None] = []
        for number, (name, output) in enumerate(layout.outputs):
            edges = self.limits.get(output.of)
            if edges and output.relation != "equal":
                raise BadInput(
                    f"learn.model.limits: {output.of}",
                    f"its output {name!r} is a {output.relation}",
                    expected="relation: equal, so that the output is the value that saturates",
                )
            mean, spread = (float(scale[f"output_{part}"][number]) for part in ("mean", "std"))
            low, high = ((edge - mean) / spread for edge in edges or (0.0, 1.0))
            bounds.append((low, high) if edges else None)
        parts = ((one, at) for one, at in layout.groups for _ in range(one.parts))
        columns = [column for _, at in parts for column in at]  # of each feature
        acting = [n for n, column in enumerate(columns) if column >= len(layout.states)]
        from kinemill.models._latent_network import Network

        return Network(self, (layout.features, layout.history), bounds, acting)

    def build(self, inputs: int, outputs: int, history: int) -> Any:
        """Make the network without limits, as a part of another model; all features act on it."""
        from kinemill.models._latent_network import Network

        return Network(self, (inputs, history), [None] * outputs, list(range(inputs)))
