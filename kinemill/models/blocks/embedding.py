"""Embedding of choices: a learned vector for each value."""

from collections.abc import Sequence
from typing import Literal

from kinemill.errors import BadInput
from kinemill.task import Count, TorchModule, Width
from kinemill.task.blocks import BLOCKS, Block, Signal


@BLOCKS.register("embedding")
class Embedding(Block):
    """A learned vector for each value of a choice; several integers give one vector each.

    Integers with the same number of values share their vectors.
    """

    type: Literal["embedding"] = "embedding"
    size: Width = 16
    """size of each vector"""
    values: Count | None = None
    """number of values of numbers that are integers from 0; default: the choices of the space"""

    def build(self, inputs: Sequence[Signal]) -> TorchModule:
        """Make the `EmbeddingBlock`.

        Raises:
            BadInput: It reads several inputs, or numbers without `values`.
        """
        from kinemill.models.networks.blocks import EmbeddingBlock

        if len(inputs) != 1 or inputs[0].is_image:
            raise BadInput(
                "block embedding", f"reads {len(inputs)} inputs", expected="one of choices"
            )
        (signal,) = inputs
        if self.values is not None and not signal.choices:
            return EmbeddingBlock((self.values,) * signal.size, self.size, is_one_hot=False)
        if not signal.choices:
            fix = "set `values`, the number of values of its integers"
            raise BadInput("block embedding", "reads numbers", expected="choices", fix=fix)
        return EmbeddingBlock(signal.choices, self.size, is_one_hot=True)
