"""Fully connected layers."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from kinemill.models._layers import Activation, LayerNorm
from kinemill.task import TorchModule, Width
from kinemill.task.blocks import BLOCKS, Block, Signal


@BLOCKS.register("dense")
class Dense(Block):
    """Fully connected layers, each followed by its activation.

    A single input is mapped along its last axis, so each element of a set or of a sequence goes
    through the same layers. Inputs of several blocks are concatenated first.
    """

    type: Literal["dense"] = "dense"
    sizes: list[Width] = Field(default=[64, 64], min_length=1)
    """hidden units of each layer"""
    activation: Activation = "tanh"
    """activation function"""
    layer_norm: LayerNorm = False

    def build(self, inputs: Sequence[Signal]) -> TorchModule:
        """Make the `DenseBlock`."""
        from kinemill.models.networks.blocks import DenseBlock

        size = inputs[0].shape[-1] if len(inputs) == 1 else sum(input_.size for input_ in inputs)
        return DenseBlock(size, self.sizes, self.activation, self.layer_norm)
