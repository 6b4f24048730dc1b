"""Arithmetic expressions in task files, such as `-0.6 * cos(pole_angle)`: parsed, never executed.

They contain numbers, names, `pi`, + - * / ** and the functions listed here. `min` and `max` have
two arguments, the other functions one.
"""

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator

from kinemill.registry import nearest

_PAIRED = {"min": "minimum", "max": "maximum"}
FUNCTIONS = ("sin", "cos", "tan", "tanh", "exp", "sqrt", "abs", *_PAIRED)
_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.Pow: "power",
}
_UNARY: dict[type[ast.unaryop], str] = {ast.USub: "negative", ast.UAdd: "positive"}
Operations = Callable[[str], Callable[..., object]]
_LONGEST = 500  # characters; longer text could exhaust the parser


@dataclass(frozen=True)
class Expression:
    """A formula over named values."""

    text: str

    @cached_property
    def tree(self) -> ast.expr:
        """The formula as a tree of allowed nodes.

        Raises:
            ValueError: The text is not arithmetic.
        """
        if len(self.text) > _LONGEST:
            raise ValueError(f"is a formula of {len(self.text)} characters; at most {_LONGEST}")
        try:
            tree = ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, RecursionError, MemoryError) as error:
            raise ValueError(f"{self.text!r} is not a formula: {error}") from error
        _check(tree, self.text)
        return tree

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of the variables of the formula."""
        calls = {id(node.func) for node in ast.walk(self.tree) if isinstance(node, ast.Call)}
        return frozenset(
            node.id
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Name) and id(node) not in calls and node.id != "pi"
        )

    def value(self, values: Mapping[str, object]) -> Any:
        """Evaluate the formula for numbers or arrays by name, all of one shape."""
        return _value(self.tree, values, lambda name: getattr(np, name))

    def value_by(self, operation: Operations, values: Mapping[str, object]) -> Any:
        """Evaluate the formula with the operations of another library, such as torch.

        `operation` maps a numpy name, such as `add` or `sin`, to a function, whose arguments can be
        floats.
        """
        return _value(self.tree, values, operation)


def _check(node: ast.expr, text: str) -> None:
    """Raise ValueError for everything that is not arithmetic."""
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        _check(node.left, text)
        _check(node.right, text)
    elif isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        _check(node.operand, text)
    elif isinstance(node, ast.Call):
        _check_call(node, text)
    elif not isinstance(node, ast.Name) and not _is_number(node):
        message = f"{ast.unparse(node)!r} in {text!r} is neither a number, a name nor arithmetic"
        raise ValueError(message)


def _check_call(node: ast.Call, text: str) -> None:
    name = ast.unparse(node.func)
    if name not in FUNCTIONS:
        message = f"{name!r} in {text!r} is not a function; {nearest(name, list(FUNCTIONS))}"
        raise ValueError(message)
    count = 2 if name in _PAIRED else 1
    if len(node.args) != count or node.keywords:
        values = "two values" if count == 2 else "one value"
        raise ValueError(f"{ast.unparse(node)!r} in {text!r}: {name} takes {values}")
    for argument in node.args:
        _check(argument, text)


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in {int, float}


def _value(node: ast.expr, values: Mapping[str, object], operation: Operations) -> object:
    match node:
        case ast.BinOp():
            arguments = [_value(operand, values, operation) for operand in (node.left, node.right)]
            return operation(_BINARY[type(node.op)])(*arguments)
        case ast.UnaryOp():
            return operation(_UNARY[type(node.op)])(_value(node.operand, values, operation))
        case ast.Call():
            name = ast.unparse(node.func)
            arguments = [_value(argument, values, operation) for argument in node.args]
            return operation(_PAIRED.get(name, name))(*arguments)
        case ast.Name():
            return math.pi if node.id == "pi" else values[node.id]
        case ast.Constant():
            return float(node.value)  # pyright: ignore[reportArgumentType]
        case _:
            raise AssertionError(ast.unparse(node))


def _formula(value: object) -> str:
    text = str(value)
    _ = Expression(text).names
    return text


Formula = Annotated[str, BeforeValidator(_formula)]
