"""Plug-in family of perception blocks: parts of a network that the model `composed` connects."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from pydantic import Field

from kinemill.registry import Registry
from kinemill.task.plugins import Plugin
from kinemill.task.protocols import TorchModule


@dataclass(frozen=True)
class Signal:
    """What a block reads: a part of an observation, or the result of another block.

    Attributes:
        shape: without the batch; (C, H, W) of an image, (T, ...) of stacked frames or a window.
        choices: number of values of each integer; their one-hot numbers follow each other.
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
    """A part of the row that a network gets.

    Attributes:
        name: of the part.
        columns: first and last + 1 among the numbers of a frame, or among all numbers and pixels
            of the row for an image.
        shape: of a value; (H, W, C) of an image.
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

    A block reads the results of others, or parts of the observation. Its module maps tensors
    (B, ...) of the shapes of its inputs to one tensor (B, ...).
    """

    of: list[str] = Field(
        default=[],
        description="blocks or parts of the observation that it reads; default: the part of its "
        "own name, else the block before it, else the whole observation",
    )

    @abstractmethod
    def build(self, inputs: Sequence[Signal]) -> TorchModule:
        """Make the torch module of inputs with these shapes.

        Raises:
            BadInput: The block cannot read them.
        """


BLOCKS: Registry[type[Block]] = Registry(
    "kinemill.models.blocks", "perception block", own="kinemill.models.blocks._own:OwnBlock"
)
