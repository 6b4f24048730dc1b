"""A network of perception blocks, connected by name.

model:
  type: composed
  blocks:
    robot: {type: dense, sizes: [32]}                    # reads the part `robot`
    objects: {type: attention, size: 32}                 # reads the part `objects`
    joint: {type: dense, of: [robot, objects], sizes: [64]}
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny

from kinemill.task.blocks import BLOCKS, Block, ObservedPart
from kinemill.task.plugins import MODELS, Model, pick
from kinemill.task.protocols import TorchModule


@MODELS.register("composed")
class Composed(Model):
    """Perception blocks for each part of an observation, in any graph; the last is the result.

    A policy of reinforcement learning reads parts of its environment's observation and images. A
    model of logs reads `observation`, the window (H, F) of encoded states and actions.
    """

    type: Literal["composed"] = "composed"
    blocks: dict[str, Annotated[SerializeAsAny[Block], BeforeValidator(pick(BLOCKS, Block))]] = (
        Field(
            default_factory=lambda: {"dense": BLOCKS["dense"].model_validate({"type": "dense"})},
            min_length=1,
        )
    )
    """name: block, each after those that it reads"""

    def build(self, inputs: int, outputs: int, history: int) -> TorchModule:
        """Make the `WindowComposed`."""
        from kinemill.models.networks.composed import WindowComposed

        return WindowComposed(self.blocks, inputs, outputs, history)

    def build_of(
        self, parts: Sequence[ObservedPart], frames: int, numbers: int, outputs: int
    ) -> TorchModule:
        """Make the `RowComposed`, a network of a row of numbers and pixels.

        Args:
            parts: parts of the row, with their columns.
            frames: number of stacked frames in the row.
            numbers: count of the numbers of all frames, which precede the pixels.
            outputs: number of outputs.

        Raises:
            BadInput: A block reads an unknown part or block.
        """
        from kinemill.models.networks.composed import RowComposed

        return RowComposed(self.blocks, parts, (frames, numbers), outputs)
