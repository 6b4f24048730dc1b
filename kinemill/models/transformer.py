"""A causal Transformer over the window of the last `history` encoded states and actions.

Encoder blocks of Vaswani et al. (2017), normalised before each part (Xiong et al., 2020), with
learned positions. The carry is the window itself without its newest row; only the newest position
is asked for an answer, so of the last block only that one is computed.
"""

import math
from typing import Any, Literal

from pydantic import PositiveInt, model_validator

from kinemill.models._parts import Activation, Bias, Dropout, LayerNorm, activation, normaliser
from kinemill.spec.plugins import MODELS, Model


@MODELS.register("transformer")
class Transformer(Model):
    """Settings of the Transformer; its sequence is `learn.history` rows long."""

    type: Literal["transformer"] = "transformer"
    size: PositiveInt = 64
    heads: PositiveInt = 4
    layers: PositiveInt = 2
    widening: PositiveInt = 2
    activation: Activation = "silu"
    dropout: Dropout = 0.0
    bias: Bias = True
    layer_norm: LayerNorm = True

    @model_validator(mode="after")
    def _divides(self) -> "Transformer":
        if self.size % self.heads:
            message = f"{self.heads} heads do not divide a size of {self.size}"
            raise ValueError(message)
        return self

    def build(self, inputs: int, outputs: int, history: int) -> Any:
        """Make the network: (B, inputs), carry (B, history - 1, inputs) -> (B, outputs), carry."""
        import torch
        from torch import Tensor, nn

        size, heads, act = self.size, self.heads, activation(self.activation)
        wide, bias = self.widening * size, self.bias
        # Not minus infinity: a row of nothing but that is NaN.
        later = torch.triu(torch.full((history, history), -1e9), diagonal=1)

        class Block(nn.Module):
            mask: Tensor

            def __init__(self, settings: Transformer) -> None:
                super().__init__()
                self.before = normaliser(size, settings)
                self.between = normaliser(size, settings)
                self.asked = nn.Linear(size, size, bias=bias)
                self.told = nn.Linear(size, 2 * size, bias=bias)
                self.joined = nn.Linear(size, size, bias=bias)
                self.up = nn.Linear(size, wide, bias=bias)
                self.down = nn.Linear(wide, size, bias=bias)
                self.dropout = nn.Dropout(settings.dropout)
                self.register_buffer("mask", later, persistent=False)

            def forward(self, x: Tensor, newest: bool) -> Tensor:
                """(B, T, size) -> (B, T, size), or (B, 1, size) of the newest row."""
                normal = self.before(x)
                query = self.split(self.asked(normal[:, -1:] if newest else normal))
                key, value = (self.split(part) for part in self.told(normal).chunk(2, dim=-1))
                scores = query @ key.transpose(-1, -2) / math.sqrt(size / heads)
                scores = scores + (self.mask[-1:] if newest else self.mask)
                seen = (torch.softmax(scores, dim=-1) @ value).transpose(1, 2).flatten(2)
                x = (x[:, -1:] if newest else x) + self.dropout(self.joined(seen))
                inner = self.dropout(act(self.up(self.between(x))))
                return x + self.dropout(self.down(inner))

            def split(self, x: Tensor) -> Tensor:
                """(B, T, size) -> (B, heads, T, size / heads)."""
                return x.unflatten(-1, (heads, size // heads)).transpose(1, 2)

        class Network(nn.Module):
            carry_shapes = ((history - 1, inputs),)

            def __init__(self, settings: Transformer) -> None:
                super().__init__()
                self.embed = nn.Linear(inputs, size, bias=bias)
                self.position = nn.Parameter(0.02 * torch.randn(history, size))
                self.blocks = nn.ModuleList(Block(settings) for _ in range(settings.layers))
                self.norm = normaliser(size, settings)
                self.head = nn.Linear(size, outputs, bias=bias)

            def warm_up(self, features: Tensor) -> tuple[Tensor]:
                return (features,)

            def forward(self, features: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
                window = torch.cat([window, features.unsqueeze(1)], dim=1)
                x = self.embed(window) + self.position
                for index, block in enumerate(self.blocks):
                    x = block(x, index == len(self.blocks) - 1)
                return self.head(self.norm(x[:, -1])), window[:, 1:]

        return Network(self)
