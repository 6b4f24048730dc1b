"""Adapter that lets a network predict in custom coordinates.

Symbols: B batch, S states, K coordinates, F features.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kinemill.errors import BadInput
from kinemill.models.networks.layers import Network
from kinemill.task.plugins import Coordinates, Model
from kinemill.train.layout import Layout

SCALE = "coordinate_std"  # in the scale of a step, during training only


class CoordinateNetwork(Network):
    """(state (B, S), action, features (B, F), carry...) -> (change of the state (B, S), carry...).

    The inner network predicts the change of the coordinates (B, K) in one step, in standard
    deviations: change = decode(encode(state) + inner) - state. States are in task units.

    Args:
        inner: (features (B, F), carry...) -> ((B, K), carry...).
        layout: a layout with coordinates.
        std: standard deviation of the change of each coordinate in one step, (K,).
    """

    physical = True
    change_std: Tensor

    def __init__(self, inner: Network, layout: Layout, std: Tensor) -> None:
        super().__init__()
        assert layout.coordinates is not None
        self.inner = inner
        self.carry_shapes = inner.carry_shapes
        self.coordinates: Coordinates = layout.coordinates
        self.names = layout.coordinate_names
        self.states = layout.states
        self.register_buffer("change_std", std.to(torch.float32))

    def warm_up(self, states: Tensor, actions: Tensor, features: Tensor) -> tuple[Tensor, ...]:
        """Return the carry after a history: (B, H-1, S), (B, H-1, A), (B, H-1, F) -> carry."""
        del states, actions
        return self.inner.warm_up(features)

    def forward(
        self, state: Tensor, action: Tensor, features: Tensor, *carry: Tensor
    ) -> tuple[Tensor, ...]:
        """Return the change of the state (B, S) and the carry."""
        del action
        change, *after = self.inner(features, *carry)
        encoded = self.coordinates.encode(dict(zip(self.states, state.unbind(-1), strict=True)))
        moved = change * self.change_std
        following = {name: encoded[name] + moved[:, k] for k, name in enumerate(self.names)}
        decoded = self.coordinates.decode(following)
        return torch.stack([decoded[name] for name in self.states], dim=-1) - state, *after


def make_network(model: Model, layout: Layout, scale: Mapping[str, Tensor]) -> Any:
    """Return the network of a model, wrapped in coordinates if the layout has some.

    Raises:
        BadInput: The model is fitted in closed form, which coordinates do not allow.
    """
    if layout.coordinates is None:
        return model.build_for(layout, scale)
    count = len(layout.coordinate_names)
    inner = model.build(layout.features, count, layout.history)
    if hasattr(inner, "fit"):
        where = f"learn.coordinates: {layout.coordinates.type}"
        problem = f"model {model.type!r} is fitted in closed form, to states"
        raise BadInput(where, problem, fix="choose a model that is trained by gradients")
    return CoordinateNetwork(inner, layout, scale.get(SCALE, torch.ones(count)))
