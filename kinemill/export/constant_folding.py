"""Constant folding: a smaller step graph with the same output.

At small batches the time of a rollout is the number of its operations times 0.5 µs of overhead.
Constant scales are therefore folded into the layer before them, and operations that add zero,
multiply by one or select a whole tensor are removed. Rounding differs in the last bit.
"""

import copy
from collections.abc import Callable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

from kinemill.export._graph import needed_nodes

MAX_CHANNELS = 32  # channels up to which a matrix product is as fast as scaling
MAX_OFFSET = 8.0  # mean over standard deviation that rounding permits

Doubles = NDArray[np.float64]
Layer = tuple[Doubles, Doubles]
Part = tuple[str, int]  # input of a concatenation: name and number of columns


def fold(core: onnx.GraphProto) -> onnx.GraphProto:
    """Return the graph of a step, folded until no rule applies."""
    simplifier = _ConstantFolder(core)
    while any(rule(node) for node in simplifier.nodes for rule in simplifier.rules):
        pass  # a rule that applied has changed the list of nodes: start again
    return simplifier.graph()


class _ConstantFolder:
    """The graph of a step during rewriting."""

    def __init__(self, core: onnx.GraphProto) -> None:
        self._core = core
        self.nodes = [copy.copy(node) for node in core.node]  # a deep copy for protobuf messages
        self._values = {item.name: numpy_helper.to_array(item) for item in core.initializer}
        self._shapes = _shapes(core)
        self._zeros = {name for name, value in self._values.items() if not value.any()}
        self._outputs = {item.name for item in core.output}
        self.rules: tuple[Callable[[onnx.NodeProto], bool], ...] = (
            self._mark_zeros,
            self._remove_neutral,
            self._fold_into_layer,
            self._fold_scaling,
            self._select_from_part,
            self._fold_column_choice,
        )

    def graph(self) -> onnx.GraphProto:
        """Return the remaining graph with the constants that it uses."""
        nodes = needed_nodes(self.nodes, self._outputs)
        used = {name for node in nodes for name in node.input}
        constants = [
            numpy_helper.from_array(value, name)
            for name, value in self._values.items()
            if name in used
        ]
        graph = onnx.GraphProto()
        graph.CopyFrom(self._core)
        del graph.node[:], graph.initializer[:]
        graph.node.extend(nodes)
        graph.initializer.extend(constants)
        return graph

    def _mark_zeros(self, node: onnx.NodeProto) -> bool:
        """Mark a node whose output is always zero; the NaN guard handles NaN in its inputs."""
        times = node.op_type in ("Mul", "MatMul") and any(
            name in self._zeros for name in node.input
        )
        same = node.op_type in ("Round", "Neg", "Identity") and node.input[0] in self._zeros
        if not (times or same) or node.output[0] in self._zeros:
            return False
        self._zeros.add(node.output[0])
        return True

    def _remove_neutral(self, node: onnx.NodeProto) -> bool:
        """Remove a node that returns its input."""
        source = self._unchanged(node)
        return source is not None and self._bypass(node, source)

    def _unchanged(self, node: onnx.NodeProto) -> str | None:
        """Return the input that a node returns unchanged, or None."""
        if node.op_type == "Gather":
            index = self._values.get(node.input[1])
            shape = self._shapes.get(node.input[0], [])
            axis = next((item.i for item in node.attribute if item.name == "axis"), 0)
            if index is None or index.ndim != 1 or not shape or shape[axis] != len(index):
                return None
            same = np.array_equal(index, np.arange(len(index)))
            return node.input[0] if same else None
        if node.op_type not in ("Add", "Sub", "Mul", "Div"):
            return None
        neutral = self._zeros if node.op_type in ("Add", "Sub") else self._ones()
        # Subtraction and division have a neutral element on the right only.
        for position in (1, 0) if node.op_type in ("Add", "Mul") else (1,):
            other = node.input[1 - position]
            if node.input[position] in neutral and self._has_same_shape(other, node.output[0]):
                return other
        return None

    def _ones(self) -> set[str]:
        return {name for name, value in self._values.items() if bool(np.all(value == 1))}

    def _has_same_shape(self, name: str, other: str) -> bool:
        """Return whether two tensors have the same known shape, so that nothing is broadcast."""
        return name in self._shapes and self._shapes[name] == self._shapes.get(other)

    def _bypass(self, node: onnx.NodeProto, source: str) -> bool:
        """Replace the output of a node by `source` in all readers."""
        out = node.output[0]
        if out in self._outputs:
            made = [one for one in self.nodes if source in one.output]
            if not made or source in self._outputs:
                return False
            source, out = out, source  # the producer takes the name of the graph output
            made[0].output[list(made[0].output).index(out)] = source
        self.nodes.remove(node)
        for one in self.nodes:
            for index, name in enumerate(one.input):
                if name == out:
                    one.input[index] = source
        return True

    def _fold_into_layer(self, node: onnx.NodeProto) -> bool:
        """Fold a constant scale, shift or matrix into the layer before it."""
        if node.op_type not in ("Mul", "Div", "Add", "Sub", "MatMul"):
            return False
        layer = next((one for one in self.nodes if node.input[0] in one.output), None)
        constant = self._values.get(node.input[1])
        # A second reader needs the output of the layer before the constant.
        if layer is None or constant is None or not self._has_one_reader(node.input[0]):
            return False
        if not self._is_plain(layer):
            return False
        # In float64, so that a fold adds only the rounding of its result.
        weight, bias = (self._values[name].astype(np.float64) for name in layer.input[1:3])
        dtype = self._values[layer.input[1]].dtype  # graphs may compute in two precisions
        if _transposed(layer):
            weight = weight.T
        if node.op_type == "MatMul" and constant.ndim != 2:
            return False
        if node.op_type != "MatMul" and constant.size not in (1, weight.shape[1]):
            return False
        weight, bias = _fold_constant(
            node.op_type, weight, bias.reshape(-1), constant.astype(np.float64)
        )
        names = [self._own(name, node.output[0]) for name in layer.input[1:3]]
        for name, value in zip(names, (weight, bias), strict=True):
            self._values[name] = np.ascontiguousarray(value, dtype=dtype)
            self._zeros.discard(name)
        made = helper.make_node("Gemm", [layer.input[0], *names], [node.output[0]], name=layer.name)
        self.nodes[self.nodes.index(layer)] = made
        self.nodes.remove(node)
        return True

    def _fold_scaling(self, node: onnx.NodeProto) -> bool:
        """Replace (x - mean) / std by one matrix product, for few channels with a small mean.

        x / std - mean / std loses digits for a large mean; MAX_OFFSET bounds that to 1e-6 of std.
        """
        shift = next((one for one in self.nodes if node.input[0] in one.output), None)
        if node.op_type != "Div" or shift is None or shift.op_type != "Sub":
            return False
        mean, std = (self._values.get(one.input[1]) for one in (shift, node))
        shape = self._shapes.get(shift.input[0], [])
        if (
            mean is None
            or std is None
            or len(shape) != 2
            or not self._has_one_reader(node.input[0])
        ):
            return False
        if not mean.shape == std.shape == (shape[1],) or len(mean) > MAX_CHANNELS:
            return False
        factor = 1.0 / std.astype(np.float64)
        if np.abs(mean * factor).max() > MAX_OFFSET:
            return False
        names = [f"{node.output[0]}.{what}" for what in ("scale", "shift")]
        for name, value in zip(names, (np.diag(factor), -mean * factor), strict=True):
            self._values[name] = value.astype(std.dtype)
        made = helper.make_node("Gemm", [shift.input[0], *names], [node.output[0]], name=node.name)
        self.nodes[self.nodes.index(node)] = made
        self.nodes.remove(shift)
        return True

    def _select_from_part(self, node: onnx.NodeProto) -> bool:
        """Select columns directly from the part of a concatenation that holds all of them."""
        index, parts = self._selected_columns(node)
        if index is None:
            return False
        start = 0
        for name, size in parts:
            if len(index) and start <= index.min() and index.max() < start + size:
                own = f"{node.output[0]}.columns"
                self._values[own] = (index - start).astype(np.int64)
                node.input[:] = [name, own]
                return True
            start += size
        return False

    def _fold_column_choice(self, layer: onnx.NodeProto) -> bool:
        """Replace a column selection before a layer by zero weights in the layer.

        NaN still propagates: a column that is not selected enters the layer in another form, such
        as its cosine.
        """
        joined = self._maker(layer.input[0]) if layer.op_type == "Gemm" else None
        if joined is None or joined.op_type != "Concat" or not self._is_plain(layer):
            return False
        if not self._has_one_reader(joined.output[0]) or _axis(joined) not in (1, -1):
            return False
        weight, start = self._values[layer.input[1]], 0
        weight = weight.T if _transposed(layer) else weight
        for position, name in enumerate(joined.input):
            maker = self._maker(name)
            index, parts = (
                self._selected_columns(maker)
                if maker and self._has_one_reader(name)
                else (None, [])
            )
            if index is not None:
                # Weight row k moves to the row of the column that k selects; others weigh 0.
                wide = np.zeros((sum(size for _, size in parts), weight.shape[1]), weight.dtype)
                wide[index] = weight[start : start + len(index)]
                rows = [weight[:start], wide, weight[start + len(index) :]]
                own = f"{layer.output[0]}.choosing"
                self._values[own] = np.ascontiguousarray(np.concatenate(rows))
                made = [layer.input[0], own, layer.input[2]]
                new = helper.make_node("Gemm", made, [layer.output[0]], name=layer.name)
                self.nodes[self.nodes.index(layer)] = new
                others = list(joined.input)
                joined.input[:] = [
                    *others[:position],
                    *(n for n, _ in parts),
                    *others[position + 1 :],
                ]
                return True
            size = self._shapes.get(name, [])
            if len(size) != 2 or not isinstance(size[1], int):
                return False
            start += size[1]
        return False

    def _selected_columns(
        self, node: onnx.NodeProto
    ) -> tuple[NDArray[np.int64] | None, list[Part]]:
        """Return the columns that a node selects from a concatenation or None, and the parts."""
        whole = self._maker(node.input[0]) if node.op_type == "Gather" else None
        if whole is None or whole.op_type != "Concat" or _axis(whole) not in (1, -1):
            return None, []
        index, parts = self._values.get(node.input[1]), list[Part]()
        for name in whole.input:
            shape = self._shapes.get(name, [])
            if len(shape) != 2 or not isinstance(shape[1], int):
                return None, []
            parts.append((name, shape[1]))
        is_supported = index is not None and index.ndim == 1 and _axis(node) in (1, -1)
        return (index if is_supported else None), parts

    def _maker(self, name: str) -> onnx.NodeProto | None:
        return next((one for one in self.nodes if name in one.output), None)

    def _has_one_reader(self, output: str) -> bool:
        """Return whether exactly one node reads an output that is not an output of the graph."""
        listeners = sum(list(one.input).count(output) for one in self.nodes)
        return listeners == 1 and output not in self._outputs

    def _own(self, name: str, output: str) -> str:
        """Return the name for a changed constant: a new one if other nodes use the old value."""
        shared = sum(list(one.input).count(name) for one in self.nodes) > 1
        return f"{output}.{name}" if shared else name

    def _is_plain(self, layer: onnx.NodeProto) -> bool:
        has_constants = len(layer.input) == 3 and all(
            name in self._values for name in layer.input[1:]
        )
        factors = {item.name: item.f for item in layer.attribute if item.name in ("alpha", "beta")}
        plain = all(value == 1.0 for value in factors.values())
        plain &= not any(item.name == "transA" and item.i for item in layer.attribute)
        return layer.op_type == "Gemm" and has_constants and plain


def _axis(node: onnx.NodeProto) -> int:
    return next((item.i for item in node.attribute if item.name == "axis"), 0)


def _transposed(layer: onnx.NodeProto) -> bool:
    return any(item.name == "transB" and item.i for item in layer.attribute)


def _fold_constant(kind: str, weight: Doubles, bias: Doubles, constant: Doubles) -> Layer:
    """Return weight (I, O) and bias (O,) of a layer with a further operation folded in."""
    if kind == "MatMul":
        return weight @ constant, bias @ constant
    flat = constant.reshape(-1)
    bias = np.broadcast_to(bias, weight.shape[1])
    if kind in ("Mul", "Div"):
        factor = flat if kind == "Mul" else 1.0 / flat
        return weight * factor, bias * factor
    return weight, bias + flat if kind == "Add" else bias - flat


def _shapes(core: onnx.GraphProto) -> dict[str, list[int | str]]:
    """Return the inferred shape of every tensor where ONNX can infer it.

    Only the batch size is unknown; a reshape hides its name.
    """
    model = helper.make_model(core, opset_imports=[helper.make_opsetid("", 20)])
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    shapes: dict[str, list[int | str]] = {}
    for item in (*graph.input, *graph.output, *graph.value_info):
        dims = item.type.tensor_type.shape.dim
        if all(dim.dim_param or dim.HasField("dim_value") for dim in dims):
            shapes[item.name] = ["batch" if dim.dim_param else dim.dim_value for dim in dims]
    return shapes
