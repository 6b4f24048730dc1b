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
from kinemill.models._parts import Activation, activation
from kinemill.spec.plugins import MODELS, Model, unknown_channels


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
        return self._make(layout.features, layout.history, bounds, acting)

    def build(self, inputs: int, outputs: int, history: int) -> Any:
        """Make the network without limits, as a part of another model; all features act on it."""
        return self._make(inputs, history, [None] * outputs, list(range(inputs)))

    def _make(
        self,
        inputs: int,
        history: int,
        bounds: list[tuple[float, float] | None],
        acting: list[int],
    ) -> Any:
        import torch
        from torch import Tensor, nn
        from torch.nn import functional

        size, hidden, act = self.size, self.hidden_size, activation(self.activation)
        lag = self.lag
        limited = torch.tensor([1.0 if edges else 0.0 for edges in bounds])
        low, high = torch.tensor([edges or (-1.0, 1.0) for edges in bounds]).unbind(1)

        class Network(nn.Module):
            carry_shapes = ((history - 1, inputs), (1,), (size,))
            acting: Tensor
            limited: Tensor
            low: Tensor
            high: Tensor

            def __init__(self) -> None:
                super().__init__()
                width = size + len(acting)
                self.encoder = nn.Linear(history * inputs, size)
                self.linear = nn.Linear(width, size)
                self.into, self.out_of = nn.Linear(width, hidden), nn.Linear(hidden, size)
                self.head = nn.Linear(size, len(bounds))
                self.sharpness = nn.Parameter(torch.full((len(bounds),), 2.0))  # logarithm
                self.start()
                self.register_buffer("acting", torch.tensor(acting), persistent=False)
                for name, value in {"limited": limited, "low": low, "high": high}.items():
                    self.register_buffer(name, value, persistent=False)

            @torch.no_grad()
            def start(self) -> None:
                """Begin as lags one behind the other, each of `lag` rows; the last are read out."""
                weight = self.linear.weight.mul_(0.1 / lag)
                weight[:, :size] += (torch.diag(torch.ones(size - 1), -1) - torch.eye(size)) / lag
                weight[0, size:] += 1.0 / lag
                self.linear.bias.zero_()
                self.out_of.weight.mul_(0.1 / lag)
                self.out_of.bias.zero_()
                self.head.weight.copy_(torch.eye(size).flip(0)[torch.arange(len(bounds)) % size])

            def warm_up(self, features: Tensor) -> tuple[Tensor, ...]:
                carry = tuple(features.new_zeros(len(features), *one) for one in self.carry_shapes)
                for row in features.unbind(1):
                    _, *rest = self(row, *carry)
                    carry = tuple(rest)
                return carry

            def forward(
                self, features: Tensor, window: Tensor, seen: Tensor, x: Tensor
            ) -> tuple[Tensor, ...]:
                rows = torch.cat([window, features.unsqueeze(1)], dim=1)
                present = torch.clamp(1.0 - (seen - (history - 1)).abs(), min=0.0)
                x = x + present * (self.encoder(rows.flatten(1)) - x)
                both = torch.cat([x, features.index_select(1, self.acting)], dim=1)
                x = x + self.linear(both) + self.out_of(act(self.into(both)))
                count = torch.clamp(seen + 1.0, max=float(history))
                return self.bounded(self.head(x)), rows[:, 1:], count, x

            def bounded(self, y: Tensor) -> Tensor:
                """Return y (B, O), softly below the upper limits and above the lower ones."""
                sharp = torch.exp(self.sharpness)
                less = self.high - functional.softplus(sharp * (self.high - y)) / sharp
                both = self.low + functional.softplus(sharp * (less - self.low)) / sharp
                return y + self.limited * (both - y)

        return Network()
