"""Attention over a set: objects, or the rows of a matrix, in any order (Vaswani et al., 2017)."""

from collections.abc import Sequence
from math import prod
from typing import Literal

from pydantic import model_validator

from kinemill.errors import BadInput
from kinemill.task import Layers, TorchModule, Width
from kinemill.task.blocks import BLOCKS, Block, Signal


@BLOCKS.register("attention")
class Attention(Block):
    """Self-attention of the elements of a set (N, F), then their mean or maximum.

    The result does not depend on the order of the elements. A second input (N,) is 1 for each
    element that is present and 0 for padding, which is ignored.
    """

    type: Literal["attention"] = "attention"
    size: Width = 64
    """D, size of the vector of each element"""
    heads: Width = 4
    """attention heads"""
    layers: Layers = 1
    """number of layers"""
    pool: Literal["mean", "max", "none"] = "mean"
    """over the elements; none: the set (N, D)"""

    @model_validator(mode="after")
    def _divides(self) -> "Attention":
        if self.size % self.heads:
            message = f"{self.heads} heads do not divide a size of {self.size}"
            raise ValueError(message)
        return self

    def build(self, inputs: Sequence[Signal]) -> TorchModule:
        """Make the `AttentionBlock`.

        Raises:
            BadInput: It reads no set, or a second input of another length.
        """
        from kinemill.models.networks.blocks import AttentionBlock

        *leading, features = inputs[0].shape
        count = prod(leading)
        is_set = bool(leading) and not inputs[0].is_image
        if not is_set or len(inputs) > 2 or any(input_.size != count for input_ in inputs[1:]):
            shapes = ", ".join(str(input_.shape) for input_ in inputs)
            expected = "a set (N, F), and (N,) which elements are present"
            raise BadInput("block attention", f"reads {shapes}", expected=expected)
        return AttentionBlock(features, self.size, self.heads, self.layers, self.pool)
