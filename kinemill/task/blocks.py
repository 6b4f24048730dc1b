"""Plug-in family of perception blocks: parts of a network that the model `composed` connects."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from kinemill.registry import Registry
from kinemill.task.plugins import Plugin
from kinemill.task.protocols import TorchModule


@dataclass(frozen=True)
class Signal:
    """Input of a block: a part of an observation, or the result of another block.

    Attributes:
        shape: shape without the batch; (C, H, W) of an image, (T, ...) of stacked frames.
        choices: number of values of each integer, encoded as consecutive one-hot vectors.
        is_image: whether it is an image.
    """

    shape: tuple[int, ...]
    choices: tuple[int, ...] = ()
    is_image: bool = False

    @property
    def size(self) -> int:
        """Number of values."""
        return prod(self.shape)


@dataclass(frozen=True)
class ObservedPart:
    """A part of a network's input row.

    Attributes:
        name: name of the part.
        columns: first column and last + 1, among the numbers of a frame, or for an image among all
            numbers and pixels of the row.
        shape: shape of a value; (H, W, C) of an image.
        choices: number of values of each integer.
        is_image: whether it is an image.
    """

    name: str
    columns: tuple[int, int]
    shape: tuple[int, ...]
    choices: tuple[int, ...] = ()
    is_image: bool = False


class Block(Plugin):
    """Settings of a perception block.

    A block reads results of other blocks, or parts of the observation. Its module maps tensors (B,
    ...), one per input, to one tensor (B, ...).
    """

    of: list[str] = []
    """input blocks or parts of the observation; default: the part with the block's name, else the
    block before it, else the whole observation"""

    @abstractmethod
    def build(self, inputs: Sequence[Signal]) -> TorchModule:
        """Return the torch module for inputs with these shapes.

        Raises:
            BadInput: The block does not support these shapes.
        """


BLOCKS: Registry[type[Block]] = Registry(
    "kinemill.models.blocks", "perception block", own="kinemill.models.blocks._own:OwnBlock"
)
