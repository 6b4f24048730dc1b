"""User-defined networks: what they receive, and the checks before a training.

Symbols: B batch, H history, F features, O outputs.
"""

import logging
import re
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from kinemill.errors import BadInput
from kinemill.models.networks.layers import Network, Shapes
from kinemill.task.own_module import line_of

OPSET = 20  # as in `kinemill.export`
_ROWS = 3  # batch of a check
_OPERATOR = re.compile(r"No ONNX function found for <OpOverload\(op='([\w.]+)'")
_LINE = re.compile(r'File "<(.+\.py) [0-9a-f]{12}>", line (\d+)')
_BY_VALUE = re.compile(r"data-dependent|GuardOnDataDependent")


class OwnNetwork(Network):
    """A user's module as a network.

    Args:
        module: the user's module.
        where: name of the module in errors.
        sizes: F, O, H.
    """

    def __init__(self, module: nn.Module, where: str, sizes: tuple[int, int, int]) -> None:
        super().__init__()
        self.module = module
        self.where = where
        self.sizes = sizes

    @property
    def contract(self) -> str:
        """Shapes of the module's arguments and results."""
        raise NotImplementedError

    def example(self) -> tuple[Tensor, ...]:
        """Return zeros as the module's arguments."""
        raise NotImplementedError

    def check(self) -> None:
        """Run the module once, on zeros.

        Raises:
            BadInput: It fails, or its outputs have another shape or no gradient.
        """
        call: Callable[..., object] = self.eval().module
        try:
            results = call(*self.example())
        except Exception as error:
            expected = f"forward: {self.contract}"
            problem = f"fails on zeros ({line_of(error)})"
            raise BadInput(self.where, problem, expected=expected) from error
        self.train()
        parts = list(results) if isinstance(results, tuple | list) else [results]
        tensors = [part for part in parts if isinstance(part, Tensor)]
        shapes = (
            ", ".join(str(tuple(tensor.shape)) for tensor in tensors) or type(parts[0]).__name__
        )
        expected = ", ".join(map(str, self.shapes()))
        if shapes != expected:
            expected = f"{expected}; forward: {self.contract}"
            problem = f"returns {shapes} for a batch of {_ROWS}"
            raise BadInput(self.where, problem, expected=expected)
        if (
            any(parameter.requires_grad for parameter in self.parameters())
            and not tensors[0].requires_grad
        ):
            fix = "use torch operations only: numpy, .item() and .detach() cut the gradient"
            raise BadInput(self.where, "returns outputs without a gradient", fix=fix)

    def shapes(self) -> list[tuple[int, ...]]:
        """Return the shapes of the results for a batch of `example`."""
        return [(_ROWS, self.sizes[1])]

    def check_export(self) -> None:
        """Export the module to ONNX, so that a failure shows before the training, not after it.

        Raises:
            BadInput: An operator has no form in ONNX, or the code depends on values.
        """
        module = _Positional(self.module)
        batch = torch.export.Dim("batch")
        example = tuple(tensor.to(_device(self)) for tensor in self.example())
        # `eval()` below also reaches the modules of `self`; `finally` restores the mode.
        is_training = self.training
        module.training = False
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                logging.getLogger("torch.onnx").setLevel(logging.ERROR)
                torch.onnx.export(
                    module.eval(),
                    example,
                    dynamo=True,
                    external_data=False,
                    opset_version=OPSET,
                    verbose=False,
                    dynamic_shapes=(tuple({0: batch} for _ in example),),
                )
        except Exception as error:
            raise export_error(error, self.where) from error
        finally:
            self.train(is_training)


class WindowNetwork(OwnNetwork):
    """(B, F), window (B, (H - 1) F) -> (B, O), window; the module sees (B, H, F) -> (B, O)."""

    def __init__(self, module: nn.Module, where: str, sizes: tuple[int, int, int]) -> None:
        super().__init__(module, where, sizes)
        self.inputs, _, self.history = sizes
        self.carry_shapes = (((self.history - 1) * self.inputs,),)

    @property
    def contract(self) -> str:
        """Shapes of the module's arguments and results."""
        return f"(B, {self.history}, {self.inputs}) -> (B, {self.sizes[1]})"

    def example(self) -> tuple[Tensor, ...]:
        """Return a window of zeros (batch, H, F)."""
        return (torch.zeros(_ROWS, self.history, self.inputs),)

    def warm_up(self, features: Tensor) -> tuple[Tensor]:
        """Return the window: (B, H - 1, F) -> (B, (H - 1) F)."""
        return (features.flatten(1),)

    def forward(self, features: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs (B, O) and the next window (B, (H - 1) F)."""
        window = torch.cat([window, features], dim=1)
        outputs = self.module(window.view(-1, self.history, self.inputs))
        return outputs, window[:, self.inputs :]


class CarryNetwork(OwnNetwork):
    """A module with a carry: (B, F), carry... -> (B, O), carry..."""

    def __init__(self, module: nn.Module, where: str, sizes: tuple[int, int, int]) -> None:
        super().__init__(module, where, sizes)
        self.carry_shapes = tuple(tuple(shape) for shape in _shapes(module))

    @property
    def contract(self) -> str:
        """Shapes of the module's arguments and results."""
        carry = "".join(f", {('B', *shape)}" for shape in self.carry_shapes).replace("'", "")
        return f"(B, {self.sizes[0]}){carry} -> (B, {self.sizes[1]}){carry}"

    def example(self) -> tuple[Tensor, ...]:
        """Return zeros as features (batch, F) and carry."""
        shapes = [(self.sizes[0],), *self.carry_shapes]
        return tuple(torch.zeros(_ROWS, *shape) for shape in shapes)

    def shapes(self) -> list[tuple[int, ...]]:
        """Return the shapes of outputs and carry for a batch of `example`."""
        return [*super().shapes(), *((_ROWS, *shape) for shape in self.carry_shapes)]

    def warm_up(self, features: Tensor) -> tuple[Tensor, ...]:
        """(B, K, F) -> carry, from a zero carry."""
        module: Any = self.module
        return tuple(module.warm_up(features))

    def forward(self, features: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs (B, O) and the carry after this row."""
        return tuple(self.module(features, *carry))


class _Positional(nn.Module):
    """A module with positional arguments, so that `dynamic_shapes` needs no argument names."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *tensors: Tensor) -> object:
        return self.module(*tensors)


def _shapes(module: Any) -> Shapes:
    return module.carry_shapes


def _device(module: nn.Module) -> torch.device:
    return next((parameter.device for parameter in module.parameters()), torch.device("cpu"))


def user_networks(module: nn.Module) -> list[OwnNetwork]:
    """Return the user-defined networks in a module."""
    return [network for network in module.modules() if isinstance(network, OwnNetwork)]


def export_error(error: BaseException, where: str) -> BadInput:
    """Return why a module cannot be exported to ONNX: file, line, operator and what to do."""
    # torch.onnx wraps the error: its causes name the operator and the line of the user's code.
    texts = list[str]()
    cause: BaseException | None = error
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__ or cause.__context__
    text = "\n".join(texts)
    lines = _LINE.findall(text)
    at = f" in {lines[-1][0]}:{lines[-1][1]}" if lines else f" ({line_of(error)})"
    if operator := _OPERATOR.search(text):
        problem = f"cannot be exported to ONNX: operator {operator[1]} has no form there"
        fix = "write it with other torch operators, see docs/own-code.md#operators"
        return BadInput(where, problem + (at if lines else ""), fix=fix)
    if _BY_VALUE.search(text):
        problem = f"cannot be exported to ONNX: control flow depends on values of a tensor{at}"
        fix = "replace `if` and `while` on tensors by torch.where, and .item() by tensors"
        return BadInput(where, problem, fix=fix)
    fix = "use torch operators on the arguments alone, with the batch as first axis"
    return BadInput(where, f"cannot be exported to ONNX{at}", fix=fix)
