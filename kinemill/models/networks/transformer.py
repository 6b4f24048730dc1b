"""Causal Transformer over a window of rows. Symbols: B batch, F features, H rows, D width.

Blocks of Vaswani et al. (2017), normalized before each part (Xiong et al., 2020), with learned
positions.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kinemill.models.networks.layers import LayerOptions, Network, activation


@dataclass(frozen=True)
class BlockSizes:
    """Sizes of a block.

    Attributes:
        size: D.
        heads: attention heads; they divide D.
        mlp_ratio: hidden units of the network at each row, over D.
    """

    size: int
    heads: int
    mlp_ratio: int


class TransformerBlock(nn.Module):
    """Attention to earlier rows, then a network at each row, both with a residual connection.

    Args:
        sizes: of the block.
        history: H.
        options: of the hidden layers.
    """

    mask: Tensor

    def __init__(self, sizes: BlockSizes, history: int, options: LayerOptions) -> None:
        super().__init__()
        size = sizes.size
        wide = sizes.mlp_ratio * sizes.size
        self.heads = sizes.heads
        self.width = size // sizes.heads
        self.act = activation(options.activation)
        self.attention_norm, self.mlp_norm = options.norm(size), options.norm(size)
        self.query = nn.Linear(size, size, bias=options.bias)
        self.key_value = nn.Linear(size, 2 * size, bias=options.bias)
        self.projection = nn.Linear(size, size, bias=options.bias)
        self.up = nn.Linear(size, wide, bias=options.bias)
        self.down = nn.Linear(wide, size, bias=options.bias)
        self.dropout = nn.Dropout(options.dropout)
        # Finite, because the softmax of a row of minus infinity is NaN.
        mask = torch.triu(torch.full((history, history), -1e9), diagonal=1)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor, newest_only: bool) -> Tensor:
        """Mix the rows: (B, H, D) -> (B, H, D), or (B, 1, D) of the newest row."""
        normal = self.attention_norm(x)
        query = self.split(self.query(normal[:, -1:] if newest_only else normal))
        key, value = (self.split(part) for part in self.key_value(normal).chunk(2, dim=-1))
        scores = query @ key.transpose(-1, -2) / math.sqrt(self.width)
        scores = scores + (self.mask[-1:] if newest_only else self.mask)
        attended = (torch.softmax(scores, dim=-1) @ value).transpose(1, 2).flatten(2)
        x = (x[:, -1:] if newest_only else x) + self.dropout(self.projection(attended))
        hidden = self.dropout(self.act(self.up(self.mlp_norm(x))))
        return x + self.dropout(self.down(hidden))

    def split(self, x: Tensor) -> Tensor:
        """Split by head: (B, H, D) -> (B, heads, H, D / heads)."""
        return x.unflatten(-1, (self.heads, self.width)).transpose(1, 2)


class TransformerNetwork(Network):
    """(B, F), window (B, H - 1, F) -> (B, O), window.

    The last block computes the newest row alone, because only that row is read.

    Args:
        inputs: F.
        outputs: O.
        history: H.
        layers: number of blocks.
        sizes: of each block.
        options: of the hidden layers.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        history: int,
        layers: int,
        sizes: BlockSizes,
        options: LayerOptions,
    ) -> None:
        super().__init__()
        self.carry_shapes = ((history - 1, inputs),)
        self.embed = nn.Linear(inputs, sizes.size, bias=options.bias)
        self.position = nn.Parameter(0.02 * torch.randn(history, sizes.size))
        blocks = (TransformerBlock(sizes, history, options) for _ in range(layers))
        self.blocks = nn.ModuleList(blocks)
        self.norm = options.norm(sizes.size)
        self.head = nn.Linear(sizes.size, outputs, bias=options.bias)

    def warm_up(self, features: Tensor) -> tuple[Tensor]:
        """Return the window: features (B, H - 1, F), unchanged."""
        return (features,)

    def forward(self, features: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs (B, O) and the next window (B, H - 1, F)."""
        window = torch.cat([window, features.unsqueeze(1)], dim=1)
        x = self.embed(window) + self.position
        for index, block in enumerate(self.blocks):
            x = block(x, index == len(self.blocks) - 1)
        return self.head(self.norm(x[:, -1])), window[:, 1:]
