"""What each ONNX operation of a step becomes, for one row."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from kinemill.errors import BadInput
from kinemill.export.c99.program import Ids, Program


class Values:
    """What is known while a graph is translated: ids of what is worked out, and constants."""

    def __init__(
        self, program: Program, ids: dict[str, Ids], constants: dict[str, NDArray[Any]]
    ) -> None:
        self.program, self._ids, self._constants = program, ids, constants

    def ids(self, name: str) -> Ids:
        """Return the elements of a tensor of floats."""
        if name in self._constants:
            return self.program.constant(self._constants[name])
        return self._ids[name]

    def known(self, name: str) -> NDArray[Any]:
        """Return a constant.

        Raises:
            BadInput: it is worked out.
        """
        if name not in self._constants:
            what = f"a layer or an index of the step is worked out at run time ({name})"
            raise BadInput("C99", what, expected="constants", fix="run it with ONNX Runtime")
        return self._constants[name]

    def knows(self, name: str) -> bool:
        """Tell whether a tensor is a constant."""
        return name in self._constants

    def put(self, name: str, ids: Ids) -> None:
        """Say where a tensor lies."""
        self._ids[name] = ids

    def hold(self, name: str, value: NDArray[Any]) -> None:
        """Say that a tensor is a constant."""
        self._constants[name] = value


Operation = Callable[[Values, onnx.NodeProto], None]


def _settings(node: onnx.NodeProto) -> dict[str, Any]:
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def _each(form: str) -> Operation:
    """Make an operation on every element for itself."""

    def operation(values: Values, node: onnx.NodeProto) -> None:
        operands = [values.ids(name) for name in node.input]
        values.put(node.output[0], values.program.each(form, *operands))

    return operation


def _call(kernel: str) -> Operation:
    def operation(values: Values, node: onnx.NodeProto) -> None:
        values.put(node.output[0], values.program.call(kernel, values.ids(node.input[0])))

    return operation


def _moved(move: Callable[[Values, onnx.NodeProto, NDArray[Any]], NDArray[Any]]) -> Operation:
    """Make an operation that only moves elements, or the same of a constant."""

    def operation(values: Values, node: onnx.NodeProto) -> None:
        name, out = node.input[0], node.output[0]
        if values.knows(name):
            values.hold(out, move(values, node, values.known(name)))
        else:
            values.put(out, move(values, node, values.ids(name)))

    return operation


def _axes(values: Values, node: onnx.NodeProto) -> tuple[int, ...]:
    return tuple(int(axis) for axis in values.known(node.input[1]).reshape(-1))


def _gather(values: Values, node: onnx.NodeProto, x: NDArray[Any]) -> NDArray[Any]:
    index = values.known(node.input[1]).astype(np.int64)
    return np.take(x, index, axis=_settings(node).get("axis", 0))


def _slice(values: Values, node: onnx.NodeProto, x: NDArray[Any]) -> NDArray[Any]:
    starts, ends, *more = [values.known(name).tolist() for name in node.input[1:]]
    axes = more[0] if more else range(len(starts))
    steps = more[1] if len(more) > 1 else [1] * len(starts)
    where: list[slice] = [slice(None)] * x.ndim
    for axis, *parts in zip(axes, starts, ends, steps, strict=True):
        where[axis] = slice(*(int(part) for part in parts))
    return x[tuple(where)]


def _reshape(values: Values, node: onnx.NodeProto, x: NDArray[Any]) -> NDArray[Any]:
    return x.reshape([int(size) for size in values.known(node.input[1])])


def _flatten(values: Values, node: onnx.NodeProto, x: NDArray[Any]) -> NDArray[Any]:
    del values
    axis = _settings(node).get("axis", 1)
    return x.reshape(int(np.prod(x.shape[:axis], dtype=np.int64)), -1)


def _squeeze(values: Values, node: onnx.NodeProto, x: NDArray[Any]) -> NDArray[Any]:
    return np.squeeze(x, _axes(values, node) if len(node.input) > 1 else None)


def _unsqueeze(values: Values, node: onnx.NodeProto, x: NDArray[Any]) -> NDArray[Any]:
    return np.expand_dims(x, _axes(values, node))


def _expand(values: Values, node: onnx.NodeProto, x: NDArray[Any]) -> NDArray[Any]:
    shape = tuple(int(size) for size in values.known(node.input[1]))
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, shape))


def _transpose(values: Values, node: onnx.NodeProto, x: NDArray[Any]) -> NDArray[Any]:
    del values
    return np.transpose(x, _settings(node).get("perm"))


def _shape(values: Values, node: onnx.NodeProto) -> None:
    name, set_ = node.input[0], _settings(node)
    sizes = (values.known(name) if values.knows(name) else values.ids(name)).shape
    chosen = sizes[set_.get("start", 0) : set_.get("end", len(sizes))]
    values.hold(node.output[0], np.array(chosen, np.int64))


def _split(values: Values, node: onnx.NodeProto) -> None:
    x, axis = values.ids(node.input[0]), _settings(node).get("axis", 0)
    if len(node.input) > 1:
        sizes = values.known(node.input[1])
    else:
        each = -(-x.shape[axis] // len(node.output))
        sizes = np.full(len(node.output), each)
    parts = np.split(x, np.cumsum(sizes)[:-1], axis=axis)
    for name, part in zip(node.output, parts, strict=True):
        values.put(name, part)


def _concat(values: Values, node: onnx.NodeProto) -> None:
    axis = _settings(node)["axis"]
    if all(values.knows(name) for name in node.input):
        parts = [values.known(name) for name in node.input]
        values.hold(node.output[0], np.concatenate(parts, axis))
        return
    values.put(node.output[0], np.concatenate([values.ids(name) for name in node.input], axis))


def _gemm(values: Values, node: onnx.NodeProto) -> None:
    settings, x = _settings(node), values.ids(node.input[0])
    weight = values.known(node.input[1])
    weight = weight.T if settings.get("transB") else weight
    if settings.get("transA"):
        raise BadInput("C99", f"{node.name} transposes its input", expected="a plain layer")
    bias = values.known(node.input[2]) if len(node.input) > 2 else np.zeros(1)
    bias = np.broadcast_to(bias.reshape(-1), weight.shape[1]) * settings.get("beta", 1.0)
    weight = weight * np.float32(settings.get("alpha", 1.0))
    values.put(node.output[0], values.program.dense(x, weight, bias.astype(np.float32)))


def _matmul(values: Values, node: onnx.NodeProto) -> None:
    weight = values.known(node.input[1])
    if weight.ndim != 2:
        raise BadInput("C99", f"{node.name} multiplies by {weight.shape}", expected="a matrix")
    bias = np.zeros(weight.shape[1], np.float32)
    values.put(node.output[0], values.program.dense(values.ids(node.input[0]), weight, bias))


def _sum(values: Values, node: onnx.NodeProto) -> None:
    """Sum over axes, one addition after the other, as many at once as there are results."""
    x, keep = values.ids(node.input[0]), _settings(node).get("keepdims", 1)
    axes = tuple(axis % x.ndim for axis in _axes(values, node))
    moved = np.moveaxis(x, axes, range(len(axes)))
    rows = moved.reshape(-1, *moved.shape[len(axes) :])
    total = rows[0]
    for row in rows[1:]:
        total = values.program.each("{0} + {1}", total, row)
    shape = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    values.put(node.output[0], total.reshape(shape) if keep else total)


def _mean(values: Values, node: onnx.NodeProto) -> None:
    _sum(values, node)
    total, x = values.ids(node.output[0]), values.ids(node.input[0])
    share = values.program.constant(np.array(total.size / x.size))
    values.put(node.output[0], values.program.each("{0} * {1}", total, share))


def _clip(values: Values, node: onnx.NodeProto) -> None:
    x = values.ids(node.input[0])
    # Written so that NaN stays NaN.
    forms = ("({0} < {1} ? {1} : {0})", "({0} > {1} ? {1} : {0})")
    for form, bound in zip(forms, node.input[1:], strict=False):
        x = values.program.each(form, x, values.ids(bound)) if bound else x
    values.put(node.output[0], x)


def _pow(values: Values, node: onnx.NodeProto) -> None:
    exponent = values.known(node.input[1])
    if exponent.size != 1 or float(exponent) not in (2.0, 3.0):
        raise BadInput("C99", f"{node.name} is no square or cube", expected="a power of 2 or 3")
    form = "{0} * {0}" if float(exponent) == 2.0 else "{0} * {0} * {0}"
    values.put(node.output[0], values.program.each(form, values.ids(node.input[0])))


def _bent(form: str, default: float) -> Operation:
    """Make an activation with one slope, `alpha`."""

    def operation(values: Values, node: onnx.NodeProto) -> None:
        slope = values.program.constant(np.array(_settings(node).get("alpha", default)))
        values.put(node.output[0], values.program.each(form, values.ids(node.input[0]), slope))

    return operation


def _normalise(values: Values, node: onnx.NodeProto) -> None:
    """Normalise the last axis (Ba et al. 2016), then scale and shift it."""
    settings, x = _settings(node), values.ids(node.input[0])
    if settings.get("axis", -1) not in (-1, x.ndim - 1):
        raise BadInput("C99", f"{node.name} normalises several axes", expected="the last one")
    rows = x.reshape(-1, x.shape[-1])
    epsilon = float(settings.get("epsilon", 1e-5))
    found = np.stack([values.program.call("normalise", row, epsilon) for row in rows])
    found = values.program.each("{0} * {1}", found.reshape(x.shape), values.ids(node.input[1]))
    if len(node.input) > 2:
        found = values.program.each("{0} + {1}", found, values.ids(node.input[2]))
    values.put(node.output[0], found)


OPERATIONS: dict[str, Operation] = {
    "Add": _each("{0} + {1}"),
    "Sub": _each("{0} - {1}"),
    "Mul": _each("{0} * {1}"),
    "Div": _each("{0} / {1}"),
    "Neg": _each("-{0}"),
    "Abs": _each("fabsf({0})"),
    "Sqrt": _each("sqrtf({0})"),
    "Exp": _each("expf({0})"),
    "Erf": _each("erff({0})"),
    "Reciprocal": _each("1.0f / {0}"),
    "Round": _each("rintf({0})"),
    "Tanh": _each("bounded({0})"),
    "Sigmoid": _each("0.5f * bounded(0.5f * {0}) + 0.5f"),
    "Relu": _each("({0} < 0.0f ? 0.0f : {0})"),
    "LeakyRelu": _bent("({0} < 0.0f ? {1} * {0} : {0})", 0.01),
    "Elu": _bent("({0} < 0.0f ? {1} * expm1f({0}) : {0})", 1.0),
    "Identity": _moved(lambda values, node, x: x),  # noqa: ARG005
    "Sin": _call("sines"),
    "Cos": _call("cosines"),
    "Clip": _clip,
    "Pow": _pow,
    "Gather": _moved(_gather),
    "Slice": _moved(_slice),
    "Reshape": _moved(_reshape),
    "Flatten": _moved(_flatten),
    "Squeeze": _moved(_squeeze),
    "Unsqueeze": _moved(_unsqueeze),
    "Expand": _moved(_expand),
    "Transpose": _moved(_transpose),
    "Shape": _shape,
    "Split": _split,
    "Concat": _concat,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "ReduceSum": _sum,
    "ReduceMean": _mean,
    "LayerNormalization": _normalise,
}
