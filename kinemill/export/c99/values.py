"""State of a translation: constants, and element ids of the tensors computed at run time."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from kinemill.errors import BadInput
from kinemill.export._graph import OPSET
from kinemill.export.c99.program import Array, Ids, Program


class Values:
    """Values of constants, and element ids of all other tensors, by name."""

    def __init__(self, program: Program, ids: dict[str, Ids], constants: dict[str, Array]) -> None:
        self.program = program
        self._ids = ids
        self._constants = constants

    def ids(self, name: str) -> Ids:
        """Return the element ids of a tensor."""
        if name in self._constants:
            return self.program.constant(self._constants[name])
        return self._ids[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return (self._constants[name] if name in self._constants else self._ids[name]).shape

    def constant(self, name: str) -> Array:
        """Return the value (...) of a constant.

        Raises:
            BadInput: The tensor is computed at run time.
        """
        if name not in self._constants:
            what = f"an index or a shape of the step is computed at run time ({name})"
            raise BadInput("C99", what, expected="constants", fix="run it with ONNX Runtime")
        return self._constants[name]

    def is_constant(self, name: str) -> bool:
        """Return whether a tensor is a constant."""
        return name in self._constants

    def put(self, name: str, ids: Ids) -> None:
        """Set the element ids of a tensor."""
        self._ids[name] = ids

    def hold(self, name: str, value: Array) -> None:
        """Set the value (...) of a constant."""
        self._constants[name] = value

    def fold(self, node: onnx.NodeProto) -> bool:
        """Evaluate a node if all its inputs are constants; return whether they are."""
        names = [name for name in node.input if name]
        if not all(name in self._constants for name in names):
            return False
        constants = [numpy_helper.from_array(self._constants[name], name) for name in names]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
        graph = helper.make_graph([node], "constant", [], outputs, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        results = ReferenceEvaluator(model).run(None, {})
        self._constants.update(zip(node.output, map(np.asarray, results), strict=True))
        return True


Operation = Callable[[Values, onnx.NodeProto], None]


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Return the attributes of a node by name."""
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def axes_of(values: Values, node: onnx.NodeProto, rank: int) -> tuple[int, ...]:
    """Return the axes (second input) of a node, counted from the first; all if none are given."""
    if len(node.input) < 2 or not node.input[1]:
        return tuple(range(rank))
    return tuple(int(axis) % rank for axis in values.constant(node.input[1]).reshape(-1))
