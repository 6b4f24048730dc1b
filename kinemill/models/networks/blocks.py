"""Modules of the perception blocks, in operations with the same result in ONNX Runtime.

Symbols: B batch, N elements, T steps, F features, D width.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from kinemill.models.networks.layers import LayerOptions, activation

_NEVER = -1e9  # finite, because the softmax of a row of minus infinity is NaN


class DenseBlock(nn.Module):
    """(..., F) -> (..., last size); inputs of several blocks are concatenated.

    Args:
        inputs: F.
        sizes: units of each layer.
        activation_name: name of the activation.
        layer_norm: whether hidden values are normalized.
    """

    def __init__(
        self, inputs: int, sizes: Sequence[int], activation_name: str, layer_norm: bool
    ) -> None:
        super().__init__()
        options = LayerOptions(activation_name, layer_norm=layer_norm)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise([inputs, *sizes]))
        self.norms = nn.ModuleList(options.norm(size) for size in sizes)
        self._activation = activation(activation_name)

    def forward(self, first: Tensor, *remaining: Tensor) -> Tensor:
        """Return the last layer: (..., F), or several (B, ...), -> (..., last size)."""
        x = joined([first, *remaining]) if remaining else first
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = self._activation(norm(layer(x)))
        return x


class ConcatenationBlock(nn.Module):
    """Inputs (B, ...) -> (B, sum of their sizes)."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return all values in one row: each (B, ...) -> (B, sum of sizes)."""
        return joined(inputs)


def joined(inputs: Sequence[Tensor]) -> Tensor:
    """Concatenate inputs, each (B, ...), as rows (B, sum of sizes)."""
    rows = [input_.flatten(1) for input_ in inputs]
    return torch.cat(rows, dim=1) if len(rows) > 1 else rows[0]


class ImageBlock(nn.Module):
    """Image (B, C, H, W) in [0, 1] -> features (B, size).

    Args:
        encoder: network of an image and a text; the text is empty here.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor) -> Tensor:
        """Return the features: (B, C, H, W) -> (B, size)."""
        # An empty slice is a text (B, 0) with the batch of the image, also in an export.
        return self.encoder(image, image.flatten(1)[:, :0])


class EmbeddingBlock(nn.Module):
    """Choices -> (B, K, D), or (B, D) of a single one.

    Args:
        choices: number of values of each of K integers.
        size: D.
        is_one_hot: whether the input has one number per value, else one per integer.
    """

    values: Tensor

    def __init__(self, choices: Sequence[int], size: int, is_one_hot: bool) -> None:
        super().__init__()
        self._choices = tuple(choices)
        self._is_one_hot = is_one_hot
        self.tables = nn.ModuleDict(
            {str(count): nn.Linear(count, size, bias=False) for count in sorted({*choices})}
        )
        self.register_buffer("values", torch.arange(max(choices)).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the vectors: (B, sum of choices), or integers (B, K), -> (B, K, D) or (B, D)."""
        rows = x.flatten(1)
        if self._is_one_hot:
            parts = rows.split(list(self._choices), dim=1)
        else:
            # A comparison instead of an index: an input out of range gives zeros, not an error.
            is_value = (rows.unsqueeze(-1) - self.values).abs() < 0.5
            parts = is_value.to(x.dtype).unbind(dim=1)
        vectors = [
            self.tables[str(count)](part) for count, part in zip(self._choices, parts, strict=True)
        ]
        return torch.stack(vectors, dim=1) if len(vectors) > 1 else vectors[0]


class RecurrentBlock(nn.Module):
    """Sequence (B, T, F), the oldest first -> (B, D), the last state, from a state of zeros.

    Args:
        inputs: F.
        size: D.
        cell: `gru` (Cho et al., 2014) or `lstm` (Hochreiter and Schmidhuber, 1997).
    """

    def __init__(self, inputs: int, size: int, cell: str) -> None:
        super().__init__()
        gates = 4 if cell == "lstm" else 3
        self._size = size
        self._is_lstm = cell == "lstm"
        self.input, self.recurrent = nn.Linear(inputs, gates * size), nn.Linear(size, gates * size)

    def forward(self, sequence: Tensor) -> Tensor:
        """Return the last state: (B, T, F) -> (B, D)."""
        # The products with the inputs of all rows need no state, so one call computes them.
        rows = self.input(sequence.flatten(2))
        hidden = rows.new_zeros(rows.shape[0], self._size)
        cell = hidden
        for row in rows.unbind(dim=1):
            if self._is_lstm:
                write, forget, new, show = (row + self.recurrent(hidden)).chunk(4, dim=1)
                cell = torch.sigmoid(forget) * cell + torch.sigmoid(write) * torch.tanh(new)
                hidden = torch.sigmoid(show) * torch.tanh(cell)
            else:
                gates = row.chunk(3, dim=1)
                past = self.recurrent(hidden).chunk(3, dim=1)
                reset, update = (torch.sigmoid(gates[k] + past[k]) for k in (0, 1))
                new = torch.tanh(gates[2] + reset * past[2])
                hidden = (1.0 - update) * new + update * hidden
        return hidden


class AttentionBlock(nn.Module):
    """Set (B, N, F), which elements are present (B, N) -> (B, D), or (B, N, D) without a pool.

    Args:
        inputs: F.
        size: D.
        heads: attention heads.
        layers: number of them.
        pool: `mean`, `max` or `none`.
    """

    def __init__(self, inputs: int, size: int, heads: int, layers: int, pool: str) -> None:
        super().__init__()
        self._heads = heads
        self._pool = pool
        self.embed = nn.Linear(inputs, size)
        self.mixers = nn.ModuleList(nn.Linear(size, 3 * size) for _ in range(layers))
        self.projections = nn.ModuleList(nn.Linear(size, size) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(layers))

    def forward(self, elements: Tensor, present: Tensor | None = None) -> Tensor:
        """Return the pooled elements, or all: (B, N, F), (B, N) -> (B, D) or (B, N, D)."""
        x = self.embed(elements.flatten(1, -2))
        weight = torch.ones_like(x[..., 0]) if present is None else present.flatten(1)
        # 0 * weight keeps a NaN in `present` visible in the result.
        away = torch.where(weight > 0.5, 0.0 * weight, 0.0 * weight + _NEVER)
        for mixer, projection, norm in zip(self.mixers, self.projections, self.norms, strict=True):
            query, key, value = (
                part.unflatten(-1, (self._heads, -1)).transpose(1, 2)
                for part in mixer(norm(x)).chunk(3, dim=-1)
            )
            scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
            mixed = torch.softmax(scores + away[:, None, None], dim=-1) @ value
            x = x + projection(mixed.transpose(1, 2).flatten(2))
        if self._pool == "none":
            return x
        if self._pool == "max":
            return (x + away.unsqueeze(-1)).amax(dim=1)
        share = (away > 0.5 * _NEVER).to(x.dtype)
        total = share.sum(dim=1, keepdim=True)  # 0 for an empty set, whose mean is defined as 0
        share = share / torch.where(total > 0.0, total, torch.ones_like(total))
        return (x * share.unsqueeze(-1)).sum(dim=1)
