"""Networks of the image encoders.

Symbols: B batch, C colors, H height, W width, E values of the result, X text values, P positions.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinemill.errors import BadInput

_STRIDED = 2  # layers, from the first on, that halve height and width
_SHARPNESS = 4.0  # initial inverse temperature of the softmax
_QUERIES = 4  # positions that a text selects by attention


class ConvEncoder(nn.Module):
    """Image (B, C, H, W) in [0, 1], text (B, X) -> (B, E), by spatial softmax.

    Args:
        shape: H, W, C.
        text_size: X; 0 without texts.
        size: E.
        channels: of each layer.
    """

    grid: Tensor

    def __init__(
        self, shape: tuple[int, int, int], text_size: int, size: int, channels: Sequence[int]
    ) -> None:
        super().__init__()
        height, width, colors = shape
        strides = [2 if layer < _STRIDED else 1 for layer in range(len(channels))]
        channels = [colors, *channels]
        for stride in strides:
            height = -(-height // stride)
            width = -(-width // stride)
        down = torch.linspace(-1, 1, height).repeat_interleave(width)
        columns = torch.linspace(-1, 1, width).repeat(height)
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=stride, padding=1)
            for (a, b), stride in zip(pairwise(channels), strides, strict=True)
        )
        self.sharpness = nn.Parameter(torch.full((channels[-1], 1), _SHARPNESS))
        self.query = nn.Linear(text_size, _QUERIES * channels[-1]) if text_size else None
        positions = channels[-1] + (_QUERIES if text_size else 0)
        self.head = nn.Linear(2 * positions, size)
        self.register_buffer("grid", torch.stack([down, columns], 1), persistent=False)

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """Return the features: (B, C, H, W), (B, X) -> (B, E)."""
        x = image - 0.5
        for layer in self.layers:
            x = functional.silu(layer(x))
        x = x.flatten(2)
        # Standardized scores: one temperature then fits bright and dark images alike.
        centered = x - x.mean(-1, keepdim=True)
        std = (centered * centered).mean(-1, keepdim=True).sqrt()
        scores = centered / (std + 1e-3)
        values = [self.positions(scores * self.sharpness)]
        if self.query is not None:
            query = self.query(text).unflatten(-1, (_QUERIES, -1))
            values.append(self.positions(query @ scores))
        return self.head(torch.cat(values, dim=-1))

    def positions(self, scores: Tensor) -> Tensor:
        """Return mean positions in [-1, 1], down and across: (B, n, P) -> (B, 2 n)."""
        return (torch.softmax(scores, dim=-1) @ self.grid).flatten(1)


class NatureEncoder(nn.Module):
    """Image (B, C, H, W) in [0, 1], text (B, X) -> (B, E), by strided convolutions.

    Args:
        shape: H, W, C.
        text_size: X; 0 without texts.
        size: E.
    """

    def __init__(self, shape: tuple[int, int, int], text_size: int, size: int) -> None:
        super().__init__()
        height, width, colors = shape
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(colors, 32, 8, stride=4, padding=2),
                nn.Conv2d(32, 64, 4, stride=2, padding=1),
                nn.Conv2d(64, 64, 3, stride=1, padding=1),
            ]
        )
        # Sizes after the three convolutions: floor((n - 4) / 4) + 1, half of that, the same.
        positions = ((height - 4) // 4 + 1) // 2 * (((width - 4) // 4 + 1) // 2)
        if not positions:
            expected = "8 pixels or more on each side"
            raise BadInput("learn.image: nature", f"an image of {shape}", expected=expected)
        self.head = nn.Linear(64 * positions + text_size, size)

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """Return the features: (B, C, H, W), (B, X) -> (B, E)."""
        x = image
        for layer in self.layers:
            x = torch.relu(layer(x))
        return torch.relu(self.head(torch.cat([x.flatten(1), text], dim=1)))
