"""Networks of policies, in basic operations that give the same results in ONNX Runtime."""

from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from kinemill.errors import BadInput
from kinemill.models.composed import Composed
from kinemill.models.mlp import MLP
from kinemill.models.networks.layers import activation
from kinemill.rl.perception import Perception
from kinemill.runtime.agents import Agent
from kinemill.runtime.native_spaces import OBSERVATION, NativeSpace, named_parts
from kinemill.task.blocks import ObservedPart
from kinemill.task.plugins import Model
from kinemill.task.reinforcement import NetworkSettings


class Core(nn.Module):
    """A network that maps (B, E) and a carry to (B, outputs) and the carry of the next step."""

    carry_shapes: tuple[tuple[int, ...], ...] = ()

    @abstractmethod
    def forward(self, x: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Map (B, E) and the carry to outputs (B, O) and the next carry."""


class Perceptron(Core):
    """Layers with an activation between them.

    Args:
        sizes: inputs, hidden sizes, outputs.
        bend: name of the activation.
    """

    def __init__(self, sizes: Sequence[int], activation_name: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Linear(inputs, outputs) for inputs, outputs in pairwise(sizes)
        )
        self._activation = activation(activation_name)

    def forward(self, x: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Return (B, outputs)."""
        for layer in self.layers[:-1]:
            x = self._activation(layer(x))
        return self.layers[-1](x), *carry

    def batched(self, x: Tensor, layers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Return (P, B, outputs) of P sets of weights (P, in, out) and biases (P, 1, out)."""
        for weight, bias in layers[:-1]:
            x = self._activation(torch.baddbmm(bias, x, weight))
        weight, bias = layers[-1]
        return torch.baddbmm(bias, x, weight)


class ModelCore(Core):
    """A model of the family `kinemill.models`, and a layer on top of its features.

    Args:
        extractor: of the features.
        outputs: numbers that the layer on top gives.
    """

    def __init__(self, extractor: "Extractor | AgentExtractors", outputs: int) -> None:
        super().__init__()
        self.extractor = extractor
        features = extractor.features
        self.head = nn.Linear(features, outputs)

    def forward(self, x: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Return (B, outputs)."""
        return self.head(self.extractor(x)), *carry


class Extractor(nn.Module):
    """A model that gets one row and carries nothing, its outputs bent by tanh.

    Images of the row are encoded before it.

    Args:
        learn: settings of the model and of image encoders.
        inputs: E.
        features: numbers that it gives.

    Raises:
        BadInput: The model is recurrent.
    """

    def __init__(self, learn: NetworkSettings, inputs: int, features: int) -> None:
        super().__init__()
        self.features, model = features, learn.model
        is_row = isinstance(model, Composed)
        has_encoders = bool(learn.images) and not is_row
        self.perception = Perception(inputs, learn.images, learn.image) if has_encoders else None
        inner = inputs if self.perception is None else self.perception.outputs
        if is_row:
            numbers = inputs - sum(image.pixels for image in learn.images)
            self.network: Any = model.build_of(
                learn.observed_parts, learn.frames, numbers, features
            )
        else:
            self.network = model.build(inner, features, 1)
        if any(0 not in shape for shape in self.network.carry_shapes):
            where = f"learn.model.type: {model.type}"
            fix = "learn.algorithm.type: recurrent_ppo has a memory, the wrapper frame_stack too"
            raise BadInput(where, "is recurrent, which this algorithm cannot train", fix=fix)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, features)."""
        x = x if self.perception is None else self.perception(x)
        carry = [x.new_zeros(x.shape[0], *shape) for shape in self.network.carry_shapes]
        return torch.tanh(self.network(x, *carry)[0])


class AgentExtractors(nn.Module):
    """A network for each policy of agents that act in turns; features of idle ones are zero.

    A layer on top of all features then acts as a separate layer for the network in use. Agents that
    share a network are distinguished by a one-hot at its input.

    Args:
        learn: settings of the networks, with agents.
        features: numbers that each network gives.
    """

    def __init__(self, learn: NetworkSettings, features: int) -> None:
        super().__init__()
        groups = policies_of(learn.agents)
        self.features = features * len(groups)
        self._turns = [[learn.agents.index(one) for one in group] for group in groups.values()]
        self._columns = [group[0].columns for group in groups.values()]
        networks = list[Extractor]()
        for members, turns in zip(groups.values(), self._turns, strict=True):
            first, stop = members[0].columns
            start = len(turns) if len(turns) > 1 else 0
            size = start + stop - first
            parts = native_parts(members[0].observation, members[0].keys, start)
            parts[OBSERVATION] = ObservedPart(OBSERVATION, (0, size), (size,))
            own = learn.with_parts(list(parts.values()), 1)
            networks.append(Extractor(own, size, features))
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, features) of observations (B, D) of `kinemill.runtime.agents`."""
        parts = list[Tensor]()
        for network, turns, columns in zip(self.networks, self._turns, self._columns, strict=True):
            turn, own = x[:, turns], x[:, columns[0] : columns[1]]
            row = torch.cat([turn, own], dim=1) if len(turns) > 1 else own
            parts.append(turn.sum(dim=1, keepdim=True) * network(row))
        return torch.cat(parts, dim=1)


def native_parts(
    space: NativeSpace, keys: Sequence[str], start: int = 0
) -> dict[str, ObservedPart]:
    """Return the parts of an observation that are numbers and choices.

    Args:
        space: of the observation.
        keys: the parts, in order.
        start: column of the first one.
    """
    spaces, parts = named_parts(space), dict[str, ObservedPart]()
    for key in keys:
        part = spaces[key]
        shape = (part.size,) if part.choices else part.shape
        columns = (start, start + part.size)
        parts[key] = ObservedPart(key, columns, shape, part.choices)
        start = columns[1]
    return parts


def policies_of(agents: Sequence[Agent]) -> dict[str, list[Agent]]:
    """Return the agents of each network by its name."""
    groups = dict[str, list[Agent]]()
    for agent in agents:
        groups.setdefault(agent.policy, []).append(agent)
    return groups


def extractor_of(
    learn: NetworkSettings, inputs: int, features: int
) -> "Extractor | AgentExtractors":
    """Return the network of an observation (B, `inputs`), one for each policy of agents."""
    if learn.agents:
        return AgentExtractors(learn, features)
    return Extractor(learn, inputs, features)


class LSTMCore(Core):
    """An LSTM (Hochreiter and Schmidhuber, 1997), then layers with an activation between them.

    Args:
        inputs: E.
        memory: size of the recurrent state.
        sizes: hidden sizes of the layers, then outputs.
        bend: name of the activation.
    """

    def __init__(
        self, inputs: int, memory: int, sizes: Sequence[int], activation_name: str
    ) -> None:
        super().__init__()
        self.carry_shapes = ((memory,), (memory,))
        self.input, self.recurrent = nn.Linear(inputs, 4 * memory), nn.Linear(memory, 4 * memory)
        self.above = Perceptron([memory, *sizes], activation_name)

    def forward(self, x: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Return (B, outputs), hidden state and cell state."""
        hidden, cell = carry
        gates = self.input(x) + self.recurrent(hidden)
        write, forget, new, show = gates.chunk(4, dim=1)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(write) * torch.tanh(new)
        hidden = torch.sigmoid(show) * torch.tanh(cell)
        return self.above(hidden)[0], hidden, cell


def copy_layers(layers: Sequence[object], into: Sequence[object]) -> None:
    """Copy the linear layers among `layers` into those of `into`, one after the other."""
    own = [layer for layer in layers if isinstance(layer, nn.Linear)]
    theirs = [layer for layer in into if isinstance(layer, nn.Linear)]
    for inputs, outputs in zip(own, theirs, strict=True):
        outputs.load_state_dict(inputs.state_dict())


def require_plain_mlp(model: Model, algorithm: str) -> MLP:
    """Return the settings of a model that is a plain perceptron.

    Raises:
        BadInput: it is not.
    """
    if not isinstance(model, MLP) or model.dropout or not model.bias or model.layer_norm:
        where = f"learn.model, with {algorithm}"
        raise BadInput(where, "is no plain perceptron", expected="{type: mlp}, no drop-out")
    return model
