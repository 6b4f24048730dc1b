"""Multilayer perceptron over the window of the last `history` encoded states and actions.

The carry is the window itself without its newest row, row after row in one, so the network sees
exactly `history` rows at every step, its own predictions among them.
"""

from itertools import pairwise
from typing import Any, Literal

from pydantic import Field, PositiveInt

from kinemill.models._layers import Activation, Bias, Dropout, LayerNorm, activation, normalizer
from kinemill.task.plugins import MODELS, Model


@MODELS.register("mlp")
class MLP(Model):
    """Settings of the perceptron."""

    type: Literal["mlp"] = "mlp"
    hidden_sizes: list[PositiveInt] = Field(default=[128, 128], min_length=1)
    activation: Activation = "tanh"
    dropout: Dropout = 0.0
    bias: Bias = True
    layer_norm: LayerNorm = False

    def build(self, inputs: int, outputs: int, history: int) -> Any:
        """Make the network: (B, inputs), carry (B, (history - 1) inputs) -> (B, outputs), carry."""
        import torch
        from torch import Tensor, nn

        class Network(nn.Module):
            carry_shapes = (((history - 1) * inputs,),)

            def __init__(self, settings: MLP) -> None:
                super().__init__()
                sizes = [history * inputs, *settings.hidden_sizes]
                self.layers = nn.ModuleList(
                    nn.Linear(before, after, bias=settings.bias)
                    for before, after in pairwise(sizes)
                )
                self.activation = activation(settings.activation)
                self.head = nn.Linear(sizes[-1], outputs, bias=settings.bias)
                self.norms = nn.ModuleList(normalizer(size, settings) for size in sizes[1:])
                self.dropout = nn.Dropout(settings.dropout)

            def warm_up(self, features: Tensor) -> tuple[Tensor]:
                return (features.flatten(1),)

            def forward(self, features: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
                window = torch.cat([window, features], dim=1)
                hidden = window
                for layer, norm in zip(self.layers, self.norms, strict=True):
                    hidden = self.dropout(self.activation(norm(layer(hidden))))
                return self.head(hidden), window[:, inputs:]

        return Network(self)
