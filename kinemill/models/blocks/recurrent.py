"""A recurrent network over a sequence: stacked frames, a window, or the rows of a matrix."""

from collections.abc import Sequence
from typing import Literal

from kinemill.errors import BadInput
from kinemill.task import TorchModule, Width
from kinemill.task.blocks import BLOCKS, Block, Signal


@BLOCKS.register("recurrent")
class Recurrent(Block):
    """A GRU or LSTM along the first axis of its input; the result is its last state.

    It starts from zeros at the oldest row, so it needs no state between steps: what it sees are
    the frames of the wrapper `frame_stack`, or the `learn.history` of a model of logs.
    """

    type: Literal["recurrent"] = "recurrent"
    cell: Literal["gru", "lstm"] = "gru"
    """kind of the cell"""
    size: Width = 64
    """size of its state"""

    def build(self, inputs: Sequence[Signal]) -> TorchModule:
        """Make the `RecurrentBlock`.

        Raises:
            BadInput: It reads no sequence, or several inputs.
        """
        from kinemill.models.networks.blocks import RecurrentBlock

        if len(inputs) != 1 or inputs[0].is_image or len(inputs[0].shape) < 2:
            shapes = ", ".join(str(input_.shape) for input_ in inputs)
            fix = "stack frames by the wrapper frame_stack, or set learn.history above 1"
            raise BadInput(
                "block recurrent", f"reads {shapes}", expected="one sequence (T, F)", fix=fix
            )
        length = inputs[0].shape[0]
        return RecurrentBlock(inputs[0].size // length, self.size, self.cell)
