"""A causal Transformer over the window of the last `history` encoded states and actions.

Encoder blocks of Vaswani et al. (2017), normalized before each part (Xiong et al., 2020), with
learned positions. The carry is the window without its newest row.
"""

from typing import Any, Literal

from pydantic import PositiveInt, model_validator

from kinemill.models._layers import Activation, Bias, Dropout, LayerNorm
from kinemill.task.plugins import MODELS, Model


@MODELS.register("transformer")
class Transformer(Model):
    """Settings of the Transformer; its sequence is `learn.history` rows long."""

    type: Literal["transformer"] = "transformer"
    size: PositiveInt = 64
    heads: PositiveInt = 4
    layers: PositiveInt = 2
    mlp_ratio: PositiveInt = 2
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
        """Make the `TransformerNetwork`."""
        from kinemill.models.networks.layers import LayerOptions
        from kinemill.models.networks.transformer import BlockSizes, TransformerNetwork

        sizes, options = BlockSizes(self.size, self.heads, self.mlp_ratio), LayerOptions.of(self)
        return TransformerNetwork(inputs, outputs, history, self.layers, sizes, options)
