"""Networks of policies, from basic operations that have equal results in ONNX Runtime.

Symbols: B batch, E numbers and pixels of a row, D numbers observed, O outputs, P weight sets.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from kinemill.errors import BadInput
from kinemill.models.composed import Composed
from kinemill.models.networks.layers import activation
from kinemill.runtime.agents import Agent
from kinemill.runtime.native_spaces import OBSERVATION, NativeSpace, named_parts
from kinemill.task.blocks import ObservedPart
from kinemill.task.imitation import ImageEncoder, default_encoder
from kinemill.task.reinforcement import ImageInput, NetworkInputs, NetworkSettings


class Core(nn.Module):
    """A network (B, E), carry -> (B, O), carry of the next step."""

    carry_shapes: tuple[tuple[int, ...], ...] = ()

    @abstractmethod
    def forward(self, x: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Map (B, E) and the carry to outputs (B, O) and the next carry."""

    def batched(self, weights: Mapping[str, Tensor], rows: Tensor) -> Tensor:
        """Run P sets of weights by name, (P, ...) each, on a row each: (P, E) -> (P, O)."""

        def run(named: dict[str, Tensor], row: Tensor) -> Tensor:
            return functional_call(self, named, (row[None],))[0][0]

        return vmap(run)(dict(weights), rows)


class Perceptron(Core):
    """Layers with an activation between them.

    Args:
        sizes: inputs, hidden sizes, outputs.
        activation_name: name of the activation.
    """

    def __init__(self, sizes: Sequence[int], activation_name: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Linear(inputs, outputs) for inputs, outputs in pairwise(sizes)
        )
        self._activation = activation(activation_name)

    def forward(self, x: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Map (B, E) to (B, O); the carry does not change."""
        for layer in self.layers[:-1]:
            x = self._activation(layer(x))
        return self.layers[-1](x), *carry

    def batched(self, weights: Mapping[str, Tensor], rows: Tensor) -> Tensor:
        """Do as in `Core`, in a third less time."""
        x = rows[:, None]
        for index in range(len(self.layers)):
            x = self._activation(x) if index else x
            weight = weights[f"layers.{index}.weight"].transpose(1, 2)
            x = torch.baddbmm(weights[f"layers.{index}.bias"][:, None], x, weight)
        return x[:, 0]


class ModelCore(Core):
    """A model of the family `kinemill.models`, and a linear layer on its features.

    Args:
        extractor: computes the features.
        outputs: number of outputs, O.
    """

    def __init__(self, extractor: "Extractor | AgentExtractors", outputs: int) -> None:
        super().__init__()
        self.extractor = extractor
        features = extractor.features
        self.head = nn.Linear(features, outputs)

    def forward(self, x: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Map (B, E) to (B, O); the carry does not change."""
        return self.head(self.extractor(x)), *carry


class Perception(nn.Module):
    """Encode the images of a row; numbers pass unchanged.

    A row holds the numbers, then the pixels of each image, with stacked frames one after another.

    Args:
        inputs: E.
        images: images at the end of the row.
        encoder: settings of all encoders; None: chosen by the size of each image.
    """

    def __init__(
        self, inputs: int, images: Sequence[ImageInput], encoder: ImageEncoder | None
    ) -> None:
        super().__init__()
        self._images = tuple(images)
        self._numbers = inputs - sum(image.pixels for image in images)
        settings = [encoder or default_encoder(image.shape[:2]) for image in images]
        self.encoders = nn.ModuleList(
            encoder.build((*image.shape[:2], image.shape[2] * image.frames), 0)
            for encoder, image in zip(settings, images, strict=True)
        )
        self.outputs = self._numbers + sum(setting.size for setting in settings)

    def forward(self, row: Tensor) -> Tensor:
        """Map numbers and pixels (B, E) to numbers and features of images (B, outputs)."""
        numbers, *parts = row.split(
            [self._numbers, *(image.pixels for image in self._images)], dim=1
        )
        features = [numbers] if self._numbers else []
        for encoder, image, pixels in zip(self.encoders, self._images, parts, strict=True):
            height, width, colors = image.shape
            frames = pixels.reshape(-1, image.frames, height, width, colors)
            # (B, F, H, W, C) -> (B, F C, H, W): the channels of a frame stay adjacent.
            channels = frames.permute(0, 1, 4, 2, 3).flatten(1, 2) / 255.0
            # Text features of size 0: reinforcement learning reads no texts.
            features.append(encoder(channels, row[:, :0]))
        return torch.cat(features, dim=1) if len(features) > 1 else features[0]


class Extractor(nn.Module):
    """A model without a carry, followed by tanh: (B, E) -> (B, features).

    Images of the row are encoded before the model.

    Args:
        learn: settings of the model and of image encoders.
        inputs: E.
        features: number of features.

    Raises:
        BadInput: The model is recurrent.
    """

    def __init__(self, learn: NetworkSettings, inputs: int, features: int) -> None:
        super().__init__()
        self.features = features
        model = learn.model
        images = learn.inputs.images
        is_row = isinstance(model, Composed)
        has_encoders = bool(images) and not is_row
        self.perception = Perception(inputs, images, learn.image) if has_encoders else None
        inner = inputs if self.perception is None else self.perception.outputs
        if is_row:
            numbers = inputs - sum(image.pixels for image in images)
            self.network: Any = model.build_of(
                learn.inputs.parts, learn.inputs.frames, numbers, features
            )
        else:
            self.network = model.build(inner, features, 1)
        if any(0 not in shape for shape in self.network.carry_shapes):
            where = f"learn.model.type: {model.type}"
            fix = "use learn.algorithm.type: recurrent_ppo, or the wrapper frame_stack"
            raise BadInput(where, "is recurrent, which this algorithm cannot train", fix=fix)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, features)."""
        x = x if self.perception is None else self.perception(x)
        # These carries are empty: the constructor rejects recurrent models.
        carry = [x.new_zeros(x.shape[0], *shape) for shape in self.network.carry_shapes]
        return torch.tanh(self.network(x, *carry)[0])


class AgentExtractors(nn.Module):
    """A network for each policy of agents that act in turns; features of idle ones are zero.

    A layer on all features then acts as a separate layer for the active network. A one-hot input
    distinguishes agents that share a network.
    """

    def __init__(self, learn: NetworkSettings, features: int) -> None:
        super().__init__()
        agents = learn.inputs.agents
        groups = policies_of(agents)
        self.features = features * len(groups)
        self._turns = [[agents.index(agent) for agent in group] for group in groups.values()]
        self._columns = [group[0].columns for group in groups.values()]
        networks = list[Extractor]()
        for members, turns in zip(groups.values(), self._turns, strict=True):
            first, stop = members[0].columns
            start = len(turns) if len(turns) > 1 else 0
            size = start + stop - first
            parts = native_parts(members[0].observation, members[0].keys, start)
            parts[OBSERVATION] = ObservedPart(OBSERVATION, (0, size), (size,))
            narrow = learn.with_inputs(NetworkInputs(list(parts.values())))
            networks.append(Extractor(narrow, size, features))
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        """Map observations (B, D) of `kinemill.runtime.agents` to features (B, features)."""
        parts = list[Tensor]()
        for network, turns, columns in zip(self.networks, self._turns, self._columns, strict=True):
            turn = x[:, turns]
            values = x[:, columns[0] : columns[1]]
            row = torch.cat([turn, values], dim=1) if len(turns) > 1 else values
            parts.append(turn.sum(dim=1, keepdim=True) * network(row))
        return torch.cat(parts, dim=1)


def native_parts(
    space: NativeSpace, keys: Sequence[str], start: int = 0
) -> dict[str, ObservedPart]:
    """Return the parts of an observation that are numbers and choices, by key."""
    spaces = named_parts(space)
    parts = dict[str, ObservedPart]()
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
    """Return the network (B, `inputs`) -> (B, features); one for each policy of agents."""
    if learn.inputs.agents:
        return AgentExtractors(learn, features)
    return Extractor(learn, inputs, features)


class LSTMCore(Core):
    """An LSTM (Hochreiter and Schmidhuber, 1997), then layers with an activation between them.

    Args:
        inputs: E.
        memory: size of the recurrent state.
        sizes: hidden sizes of the layers, then outputs.
        activation_name: name of the activation.
    """

    def __init__(
        self, inputs: int, memory: int, sizes: Sequence[int], activation_name: str
    ) -> None:
        super().__init__()
        self.carry_shapes = ((memory,), (memory,))
        self.input, self.recurrent = nn.Linear(inputs, 4 * memory), nn.Linear(memory, 4 * memory)
        self.above = Perceptron([memory, *sizes], activation_name)

    def forward(self, x: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Map (B, E), hidden state and cell state to (B, O) and the next states."""
        hidden, cell = carry
        gates = self.input(x) + self.recurrent(hidden)
        # Gates in the order of `torch.nn.LSTM`, whose weights are copied into these layers.
        write, forget, new, show = gates.chunk(4, dim=1)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(write) * torch.tanh(new)
        hidden = torch.sigmoid(show) * torch.tanh(cell)
        return self.above(hidden)[0], hidden, cell


def copy_layers(layers: Sequence[object], into: Sequence[object]) -> None:
    """Copy the weights of the linear layers in `layers` to those in `into`, in order."""
    sources = [layer for layer in layers if isinstance(layer, nn.Linear)]
    targets = [layer for layer in into if isinstance(layer, nn.Linear)]
    for inputs, outputs in zip(sources, targets, strict=True):
        outputs.load_state_dict(inputs.state_dict())
