"""Concatenation of several inputs."""

from collections.abc import Sequence
from typing import Literal

from kinemill.task.blocks import BLOCKS, Block, Signal
from kinemill.task.protocols import TorchModule


@BLOCKS.register("concatenation")
class Concatenation(Block):
    """All values of its inputs in one row."""

    type: Literal["concatenation"] = "concatenation"

    def build(self, inputs: Sequence[Signal]) -> TorchModule:
        """Make the `ConcatenationBlock`."""
        from kinemill.models.networks.blocks import ConcatenationBlock

        del inputs
        return ConcatenationBlock()
