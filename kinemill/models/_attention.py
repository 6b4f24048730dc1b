"""A block of the causal Transformer. Symbols: B batch, T rows of the window."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from kinemill.models._layers import activation, normalizer


class Block(nn.Module):
    """Attention to the rows up to each, then a network at each row, both added to what came in.

    Args:
        settings: of `kinemill.models.transformer`.
        history: T.
    """

    mask: Tensor

    def __init__(self, settings: Any, history: int) -> None:
        super().__init__()
        size, wide, bias = settings.size, settings.widening * settings.size, settings.bias
        self.heads, self.width = settings.heads, size // settings.heads
        self.act = activation(settings.activation)
        self.before = normalizer(size, settings)
        self.between = normalizer(size, settings)
        self.asked = nn.Linear(size, size, bias=bias)
        self.told = nn.Linear(size, 2 * size, bias=bias)
        self.joined = nn.Linear(size, size, bias=bias)
        self.up = nn.Linear(size, wide, bias=bias)
        self.down = nn.Linear(wide, size, bias=bias)
        self.dropout = nn.Dropout(settings.dropout)
        # Not minus infinity: a row of nothing but that is NaN.
        later = torch.triu(torch.full((history, history), -1e9), diagonal=1)
        self.register_buffer("mask", later, persistent=False)

    def forward(self, x: Tensor, newest: bool) -> Tensor:
        """(B, T, size) -> (B, T, size), or (B, 1, size) of the newest row."""
        normal = self.before(x)
        query = self.split(self.asked(normal[:, -1:] if newest else normal))
        key, value = (self.split(part) for part in self.told(normal).chunk(2, dim=-1))
        scores = query @ key.transpose(-1, -2) / math.sqrt(self.width)
        scores = scores + (self.mask[-1:] if newest else self.mask)
        seen = (torch.softmax(scores, dim=-1) @ value).transpose(1, 2).flatten(2)
        x = (x[:, -1:] if newest else x) + self.dropout(self.joined(seen))
        inner = self.dropout(self.act(self.up(self.between(x))))
        return x + self.dropout(self.down(inner))

    def split(self, x: Tensor) -> Tensor:
        """(B, T, size) -> (B, heads, T, size / heads)."""
        return x.unflatten(-1, (self.heads, self.width)).transpose(1, 2)
