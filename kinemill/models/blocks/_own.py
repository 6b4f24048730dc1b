"""A user-defined block: an `nn.Module` class in a file of the project.

class Pool(nn.Module):
    def __init__(self, shapes: list[tuple[int, ...]], width: int = 64): ...
    def forward(self, objects: Tensor) -> Tensor: ...  # (B, N, F) -> (B, ...)
"""

from collections.abc import Sequence
from typing import ClassVar

from kinemill.errors import BadInput
from kinemill.task import OwnCode, TorchModule
from kinemill.task.blocks import Block, Signal
from kinemill.task.own_module import line_of


class OwnBlock(OwnCode, Block):
    """Settings of a user-defined block: the parameters of its constructor."""

    arguments: ClassVar[tuple[str, ...]] = ("shapes",)
    by_name: ClassVar[bool] = True
    needed: ClassVar[tuple[str, ...]] = ("shapes",)
    protocol: ClassVar[type[Block]] = Block

    def build(self, inputs: Sequence[Signal]) -> TorchModule:
        """Make the module for inputs with these shapes.

        Raises:
            BadInput: The code fails, or its result is not a `torch.nn.Module`.
        """
        from torch import nn

        where = f"block {self.type}"
        try:
            module = self.code(shapes=[input_.shape for input_ in inputs], **self.keywords)
        except Exception as error:
            raise BadInput(where, f"cannot be made ({line_of(error)})") from error
        if not isinstance(module, nn.Module):
            raise BadInput(where, f"is a {type(module).__name__}", expected="a torch.nn.Module")
        return module
