"""Behavior cloning policy: encoder, network, head and chunks, in task units.

Symbols: B batch, K rows of a window, F features, E inputs of the head, T actions of a chunk,
A actions of a row.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kinemill.models.networks.graph_noise import GraphNoise
from kinemill.policies.environments.graph import clipped
from kinemill.policies.imitation.chunks import Chunk
from kinemill.policies.imitation.obs_encoder import ObsEncoder
from kinemill.runtime.policy_layout import SEED, PolicyLayout
from kinemill.train.policy import PolicyModule

LARGEST = float(torch.finfo(torch.float32).max)
SCALES = ("action_mean", "action_std")


@dataclass(frozen=True)
class Memory:
    """Memory of a network.

    Attributes:
        rows: rows of a window, K.
        carried: whether the network carries a recurrent state and trains on each row of a window.
            Otherwise it processes the last K rows, and the first row pads an episode's start.
    """

    rows: int
    carried: bool


class BCPolicy(PolicyModule):
    """A policy learned from demonstrations.

    Args:
        layout: observations and actions of the policy.
        parts: encoder; network (B, F), carry -> (B, E), carry; head (B, E) -> (B, T, A).
        memory: memory of the network.
        chunk: chunk length and how chunks are combined.
        scale: `action_mean`, `action_std` (A,) float64, task units.
    """

    action_mean: Tensor
    action_std: Tensor
    low: Tensor
    high: Tensor

    def __init__(
        self,
        layout: PolicyLayout,
        parts: tuple[ObsEncoder, Any, Any],
        memory: Memory,
        chunk: Chunk,
        scale: Mapping[str, Tensor],
    ) -> None:
        super().__init__(layout)
        self.encoder, self.network, self.head = parts
        self.memory = memory
        self.chunk = chunk
        self.lowered: torch.dtype | None = None  # see `kinemill.train.amp`
        for name in SCALES:
            self.register_buffer(name, scale[name].to(torch.float32))
        ends = [layout.limits.get(name, (-LARGEST, LARGEST)) for name in layout.actions]
        for name, end in zip(("low", "high"), zip(*ends, strict=True), strict=True):
            self.register_buffer(name, torch.tensor(end, dtype=torch.float32), persistent=False)

    @property
    def carry_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the row count, the network's carry, and the queue, without the batch."""
        queue = self.chunk.queue_shape(len(self.layout.actions))
        return ((1,), *self._network_shapes, *([queue] if queue else []))

    @property
    def _network_shapes(self) -> list[tuple[int, ...]]:
        return [shape for shape in self.network.carry_shapes if 0 not in shape]

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return the action (B, A) in task units, and the carry for the row after."""
        names = self.layout.inputs
        inputs, (count, *rest) = dict(zip(names, tensors, strict=False)), tensors[len(names) :]
        features = self.see(inputs)
        network_count = len(self._network_shapes)
        condition, *after = self.recall(features, count, rest[:network_count])
        draws = GraphNoise(inputs[SEED], count) if self.layout.seeded else None
        chunk = self.head(condition, draws)
        queue = rest[network_count:]
        if queue:
            action, queued = self.chunk.join(chunk, count, queue[0])
            queue = [queued]
        else:
            action = chunk[:, 0]
        action = self.limited(action * self.action_std + self.action_mean)
        # A clamp or a `where` can hide NaN, so each output row is NaN if one of its inputs is.
        nan = nan_of_rows((*inputs.values(), *tensors[len(names) :]))
        carry = (count + 1.0, *after, *queue)
        return action + nan, *(
            tensor + nan.reshape(-1, *[1] * (tensor.dim() - 1)) for tensor in carry
        )

    def see(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Encode one row of each episode: inputs by name (B, ...) -> features (B, F)."""
        if self.lowered is None:
            return self.encoder(inputs)
        with torch.autocast(self.action_std.device.type, self.lowered):
            return self.encoder(inputs).to(torch.float32)

    def ask(self, features: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Run the network on one row: (B, F), carry -> (B, E), carry."""
        if self.lowered is None:
            return self.network(features, *carry)
        with torch.autocast(features.device.type, self.lowered):
            return tuple(tensor.to(torch.float32) for tensor in self.network(features, *carry))

    def recall(
        self, features: Tensor, count: Tensor, carry: Iterable[Tensor]
    ) -> tuple[Tensor, ...]:
        """Run the network with its memory: (B, F), (B, 1) rows done, carry -> (B, E), carry."""
        inputs = list(carry)
        whole = list[Tensor]()
        # ONNX files cannot hold tensors of size 0: they are not inputs, and are made here.
        for shape in self.network.carry_shapes:
            nothing = features.new_zeros(features.shape[0], *shape) if 0 in shape else None
            whole.append(inputs.pop(0) if nothing is None else nothing)
        if not self.memory.carried and self.memory.rows > 1:
            earlier = features.unsqueeze(1).expand(-1, self.memory.rows - 1, -1)
            whole = [
                torch.where(count.reshape(-1, *[1] * (now.dim() - 1)) < 0.5, first, now)
                for first, now in zip(self.network.warm_up(earlier), whole, strict=True)
            ]
        outputs, *after = self.ask(features, *whole)
        shapes = self.network.carry_shapes
        own_carry = [tensor for tensor, shape in zip(after, shapes, strict=True) if 0 not in shape]
        return outputs, *own_carry

    def conditions(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return the conditions of the head in training: (B, K, F), (B, K) 1 or 0 -> (B, R, E).

        R is 1, the last row, or K for a network that carries a state. That state is zero at the
        first row that the mask includes.
        """
        rows = features.shape[1]
        if not self.memory.carried:
            carry = self._window(features[:, :-1])
            return self.ask(features[:, -1], *carry)[0].unsqueeze(1)
        carry = self._zeros(features)
        outputs: list[Tensor] = []  # torch.compile cannot trace `list[Tensor]()`
        for k in range(rows):
            row = mask[:, k]
            carry = tuple(tensor * row.reshape(-1, *[1] * (tensor.dim() - 1)) for tensor in carry)
            condition, *after = self.ask(features[:, k], *carry)
            carry = tuple(after)
            outputs.append(condition)
        return torch.stack(outputs, dim=1)

    def _zeros(self, features: Tensor) -> tuple[Tensor, ...]:
        shapes = self.network.carry_shapes
        return tuple(features.new_zeros(features.shape[0], *shape) for shape in shapes)

    def _window(self, earlier: Tensor) -> tuple[Tensor, ...]:
        return self.network.warm_up(earlier) if earlier.shape[1] else self._zeros(earlier)

    def scaled(self, actions: Tensor) -> Tensor:
        """Return actions (..., A) minus their mean, in standard deviations of training."""
        return (actions - self.action_mean) / self.action_std

    def limited(self, actions: Tensor) -> Tensor:
        """Clamp actions (..., A) in task units to their limits; NaN stays NaN."""
        return clipped(actions, self.low, self.high)


def nan_of_rows(tensors: Iterable[Tensor]) -> Tensor:
    """Return 0 for each row whose tensors (B, ...) are finite and NaN for others, (B, 1).

    Without it a queue, or a first row that replaces the carry, would hide a NaN.
    """
    outputs = [
        tensor.flatten(1).mul(0.0).sum(1) for tensor in tensors if tensor.is_floating_point()
    ]
    return torch.stack(outputs, dim=1).sum(1, keepdim=True)
