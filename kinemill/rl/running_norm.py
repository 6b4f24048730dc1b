"""Observations normalized by statistics of the replay buffer, updated during training.

A robot moves little under a random policy, so statistics from before the training do not fit
later: the spinner of the Control Suite's finger has a standard deviation of 2 rad/s then and of
11 rad/s at the end. Lee et al. (SimBa, 2025) put such a layer before actor and critics.

Symbols: N steps, B batch, E numbers of an observation.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

_UPDATE_RATIO = 1.05  # steps behind new statistics, relative to those behind the present ones
_ROWS = 50_000  # replayed steps behind the statistics, at most
_LEAST = 1e-4  # minimum standard deviation, in the unit of the number


class RunningNorm(BaseFeaturesExtractor):
    """Subtract the mean of each number of an observation, and divide by its standard deviation.

    Args:
        observation_space: space of vectors (E,).
    """

    mean: Tensor
    std: Tensor
    steps: Tensor

    def __init__(self, observation_space: Any) -> None:
        (inputs,) = observation_space.shape
        super().__init__(observation_space, inputs)
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, observations: Tensor) -> Tensor:
        """Normalize (B, E)."""
        return (observations - self.mean) / self.std

    def update(self, rows: NDArray[np.floating[Any]], steps: int) -> None:
        """Compute the statistics from observations (N, E), after `steps` steps."""
        std = np.maximum(rows.std(axis=0, dtype=np.float64), _LEAST)
        self.mean.copy_(torch.from_numpy(rows.mean(axis=0, dtype=np.float64)))
        self.std.copy_(torch.from_numpy(std))
        self.steps.fill_(steps)


def norms_of(policy: Any) -> list[RunningNorm]:
    """Return the normalization layers of the actor, the critics and their targets."""
    return [module for module in policy.modules() if isinstance(module, RunningNorm)]


def fold(norm: RunningNorm, layers: Sequence[object]) -> None:
    """Change the first linear layer so that it takes observations without `norm` before it."""
    first = next(layer for layer in layers if isinstance(layer, nn.Linear))
    with torch.no_grad():
        # W (x - m) / s + b equals (W / s) x + b - (W / s) m, so the bias uses the new weight.
        first.weight.div_(norm.std)
        first.bias.sub_(first.weight @ norm.mean)


def normalizing(model: type[Any]) -> type[Any]:
    """Return a subclass of an off-policy class that updates each `RunningNorm` of its policy."""

    class Normalizing(model):
        """An off-policy algorithm with normalized observations."""

        def train(self, gradient_steps: int, batch_size: int = 64) -> None:
            """Update the statistics if they are due, then the networks."""
            norms = norms_of(self.policy)
            buffer = self.replay_buffer
            count = buffer.buffer_size if buffer.full else buffer.pos
            stored = count * buffer.n_envs
            # A full buffer changes without growing.
            steps = max(stored, self.num_timesteps)
            # A warm start keeps its statistics until the new buffer has more steps than the old.
            if steps >= _UPDATE_RATIO * int(norms[0].steps):
                rows = buffer.observations[: count : 1 + stored // _ROWS]
                for norm in norms:
                    norm.update(rows.reshape(-1, rows.shape[-1]), steps)
            super().train(gradient_steps, batch_size)

    return Normalizing
