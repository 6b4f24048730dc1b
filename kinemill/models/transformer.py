"""A causal Transformer over the window of the last `history` encoded states and actions.

Encoder blocks of Vaswani et al. (2017), normalized before each part (Xiong et al., 2020), with
learned positions. The carry is the window without its newest row.
"""

from typing import Literal

from pydantic import model_validator

from kinemill.models._layers import Activation, Bias, Dropout, LayerNorm
from kinemill.task import MODELS, Layers, Model, TorchModule, Width


@MODELS.register("transformer")
class Transformer(Model):
    """A Transformer over the history; for long memories and much data.

    Its sequence is `learn.history` rows long.
    """

    type: Literal["transformer"] = "transformer"
    size: Width = 64
    """D, size of the vector of each row"""
    heads: Width = 4
    """attention heads"""
    layers: Layers = 2
    """number of Transformer layers"""
    mlp_ratio: Layers = 2
    """hidden units of the network after attention, as a multiple of D"""
    activation: Activation = "silu"
    """activation function of the network after attention"""
    dropout: Dropout = 0.0
    bias: Bias = True
    layer_norm: LayerNorm = True

    @model_validator(mode="after")
    def _divides(self) -> "Transformer":
        if self.size % self.heads:
            message = f"{self.heads} heads do not divide a size of {self.size}"
            raise ValueError(message)
        return self

    def build(self, inputs: int, outputs: int, history: int) -> TorchModule:
        """Make the `TransformerNetwork`."""
        from kinemill.models.networks.layers import LayerOptions
        from kinemill.models.networks.transformer import BlockSizes, TransformerNetwork

        sizes = BlockSizes(self.size, self.heads, self.mlp_ratio)
        options = LayerOptions.of(self)
        return TransformerNetwork(inputs, outputs, history, self.layers, sizes, options)
