"""A causal Transformer over the window of the last `history` encoded states and actions.

Encoder blocks of Vaswani et al. (2017), normalized before each part (Xiong et al., 2020), with
learned positions. The carry is the window itself without its newest row; only the newest position
is asked for an answer, so of the last block only that one is computed.
"""

from typing import Any, Literal

from pydantic import PositiveInt, model_validator

from kinemill.models._layers import Activation, Bias, Dropout, LayerNorm, normalizer
from kinemill.task.plugins import MODELS, Model


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

        from kinemill.models._attention import Block

        size, bias = self.size, self.bias

        class Network(nn.Module):
            carry_shapes = ((history - 1, inputs),)

            def __init__(self, settings: Transformer) -> None:
                super().__init__()
                self.embed = nn.Linear(inputs, size, bias=bias)
                self.position = nn.Parameter(0.02 * torch.randn(history, size))
                self.blocks = nn.ModuleList(
                    Block(settings, history) for _ in range(settings.layers)
                )
                self.norm = normalizer(size, settings)
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
