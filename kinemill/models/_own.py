"""A user-defined network: an `nn.Module` class in a file of the project.

    class Net(nn.Module):
        def __init__(self, inputs: int, outputs: int, history: int, width: int = 64): ...
        def forward(self, rows: Tensor) -> Tensor: ...  # (B, H, F) -> (B, O)

A module with `carry_shapes` and `warm_up` already is a network as `Model.build` describes it, and
is called row by row. A subclass of `kinemill.task.plugins.Model` is a plug-in like those of this
folder.
"""

from typing import ClassVar

from kinemill.errors import BadInput
from kinemill.task import Model, OwnCode, TorchModule
from kinemill.task.own_module import line_of


class OwnModel(OwnCode, Model):
    """Settings of a user-defined network: the parameters of its constructor."""

    arguments: ClassVar[tuple[str, ...]] = ("inputs", "outputs", "history")
    needed: ClassVar[tuple[str, ...]] = ("inputs", "outputs")
    by_name: ClassVar[bool] = True
    protocol: ClassVar[type[Model]] = Model

    def build(self, inputs: int, outputs: int, history: int) -> TorchModule:
        """Make the module, and the `CarryNetwork` or `WindowNetwork` around it.

        Raises:
            BadInput: The code fails, or its result cannot be trained.
        """
        from torch import nn

        from kinemill.models.networks.own import CarryNetwork, WindowNetwork

        sizes = {"inputs": inputs, "outputs": outputs, "history": history}
        where = f"model {self.type}"
        try:
            module = self.code(**self.accepted(sizes), **self.keywords)
        except Exception as error:
            raise BadInput(where, f"cannot be made ({line_of(error)})") from error
        if not isinstance(module, nn.Module):
            raise BadInput(where, f"is a {type(module).__name__}", expected="a torch.nn.Module")
        carries = hasattr(module, "carry_shapes") and hasattr(module, "warm_up")
        kind = CarryNetwork if carries else WindowNetwork
        network = kind(module, where, (inputs, outputs, history))
        network.check()
        return network
