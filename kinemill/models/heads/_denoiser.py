"""The network that diffusion and flow matching share: a noisy chunk, a time, what is seen.

Symbols: N = T A numbers of a chunk, E of the condition.
"""

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from kinemill.models.heads._sampling_head import Drawn

FREQUENCIES = 8  # of the time's sines and cosines


class Denoiser(nn.Module):
    """(B, N), time (B, 1) in [0, 1], condition (B, E) -> (B, N), a perceptron with residuals."""

    frequencies: Tensor

    def __init__(self, size: int, condition: int, width: int, layers: int) -> None:
        super().__init__()
        given = size + condition + 2 * FREQUENCIES
        self.embed = nn.Linear(given, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU())
            for _ in range(layers)
        )
        self.head = nn.Linear(width, size)
        frequencies = math.pi * 2.0 ** torch.arange(FREQUENCIES)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Return what is asked for: the chunk itself, or its velocity."""
        phase = time * self.frequencies
        given = torch.cat([noisy, torch.sin(phase), torch.cos(phase), condition], dim=1)
        hidden = self.embed(given)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.head(hidden)


class Refining(nn.Module):
    """Goes from noise to a chunk in equal steps of time.

    Args:
        head: its settings.
        length: T, rows of a chunk.
        actions: A.
    """

    def __init__(self, head: Drawn, length: int, actions: int) -> None:
        super().__init__()
        self.asks, self.steps = head.condition, head.steps
        self.size, self.shape = length * actions, (length, actions)

    def forward(self, condition: Tensor, draws: Any) -> Tensor:
        """Return a chunk (B, T, A), drawn for a condition (B, E)."""
        x = draws.normal(self.size)
        for step in range(self.steps):
            x = self.refined(x, step, condition)
        return x.reshape(-1, *self.shape)

    @abstractmethod
    def refined(self, x: Tensor, step: int, condition: Tensor) -> Tensor:
        """Go one of the steps on: (B, N), (B, E) -> (B, N)."""


def denoiser_of(head: Drawn, size: int) -> Denoiser:
    """Return the network that a head's settings ask for, for chunks of N numbers."""
    return Denoiser(size, head.condition, head.width, head.layers)


def spread_over(squares: Any, counts: Any, actions: int) -> Any:
    """Return the mean over the numbers that count: (B, N), (B, T) -> (B,)."""
    known = counts.repeat_interleave(actions, dim=1)
    return (squares * known).sum(-1) / known.sum(-1)
