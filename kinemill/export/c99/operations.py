"""C of each ONNX operation of a step, for one row.

Booleans are floats at run time: 0 or 1. Comparisons with NaN are false; the guard of the step puts
NaN into every output of a row that holds one. Arrays hold ids of elements, see `program`.

Symbols of layers: I inputs, O outputs, R rows, C columns.
"""

from collections.abc import Callable

import numpy as np
import onnx

from kinemill.errors import BadInput
from kinemill.export.c99.program import Array, Ids, Numbers
from kinemill.export.c99.values import Operation, Values, attributes, axes_of


def gemm(values: Values, node: onnx.NodeProto) -> None:
    """Add alpha * A B + beta * C: (R, I), (I, O), (O,) -> (R, O).

    A constant B is the weight of a layer, which needs no copy of B at run time.
    """
    settings, (x_name, y_name, *more) = attributes(node), node.input
    alpha = settings.get("alpha", 1.0)
    beta = settings.get("beta", 1.0)
    # Transposing ids moves no data: it only changes which elements a loop reads.
    x = values.ids(x_name).T if settings.get("transA") else values.ids(x_name)
    if values.is_constant(y_name) and all(map(values.is_constant, more)):
        weight = values.constant(y_name)
        bias = values.constant(more[0]) if more else np.zeros(1)
        weight = weight.T if settings.get("transB") else weight
        # Another shape of C adds a different bias to each row: a product and a sum below.
        if bias.size in (1, weight.shape[1]):
            bias = np.broadcast_to(bias.reshape(-1) * beta, weight.shape[1]).astype(np.float32)
            result = values.program.dense(x, weight * np.float32(alpha), bias)
            values.put(node.output[0], result)
            return
    y = values.ids(y_name).T if settings.get("transB") else values.ids(y_name)
    result = _scaled(values, values.program.product(x, y), alpha)
    if more:
        result = values.program.elementwise(
            "{0} + {1}", result, _scaled(values, values.ids(more[0]), beta)
        )
    values.put(node.output[0], result)


def _scaled(values: Values, x: Ids, factor: float) -> Ids:
    if factor == 1.0:
        return x
    return values.program.elementwise("{0} * {1}", x, values.program.constant(np.array(factor)))


def matmul(values: Values, node: onnx.NodeProto) -> None:
    """Multiply as `numpy.matmul` does: (..., R, I), (..., I, C) -> (..., R, C).

    A constant matrix on either side becomes a layer.
    """
    x_name, y_name = node.input
    sizes = values.shape(x_name), values.shape(y_name)
    # A vector on the left is one row, on the right one column, as numpy defines it.
    rows = (1, *sizes[0])[-2:]
    columns = (*sizes[1], 1) if len(sizes[1]) == 1 else sizes[1][-2:]
    leading = np.broadcast_shapes(sizes[0][:-2], sizes[1][:-2])
    shape = (*leading, rows[0], columns[1])
    if values.is_constant(y_name) and np.prod(sizes[1]) == np.prod(columns):
        x = values.ids(x_name)
        weight = values.constant(y_name).reshape(columns)
        result = _dense(values, x.reshape(-1, columns[0]), weight)
    elif values.is_constant(x_name) and np.prod(sizes[0]) == np.prod(rows):
        weight = values.constant(x_name).reshape(rows).T  # (A B)^T = B^T A^T
        y = values.ids(y_name).reshape(-1, *columns).swapaxes(1, 2)
        result = _dense(values, y, weight).swapaxes(1, 2)
    else:
        x = np.broadcast_to(values.ids(x_name).reshape(sizes[0][:-2] + rows), (*leading, *rows))
        y = values.ids(y_name).reshape(sizes[1][:-2] + columns)
        y = np.broadcast_to(y, (*leading, *columns))
        pairs = zip(x.reshape(-1, *rows), y.reshape(-1, *columns), strict=True)
        result = np.concatenate([values.program.product(a, b) for a, b in pairs])
    result = result.reshape(shape)
    result = result[..., 0, :] if len(sizes[0]) == 1 else result
    values.put(node.output[0], result[..., 0] if len(sizes[1]) == 1 else result)


def _dense(values: Values, x: Ids, weight: Numbers) -> Ids:
    bias = np.zeros(weight.shape[1], np.float32)
    return values.program.dense(x, weight.astype(np.float32), bias)


def normalize(values: Values, node: onnx.NodeProto) -> None:
    """Normalize the last axes (layer normalization, Ba et al. 2016), then scale and shift them.

    (...) -> (...); mean and variance are over all elements from `axis` on.
    """
    settings = attributes(node)
    x = values.ids(node.input[0])
    epsilon = float(settings.get("epsilon", 1e-5))
    count = int(np.prod(x.shape[settings.get("axis", -1) :]))
    result = _by_row(x, count, lambda row: values.program.call("normalize", row, epsilon))
    result = values.program.elementwise("{0} * {1}", result, values.ids(node.input[1]))
    if len(node.input) > 2:
        result = values.program.elementwise("{0} + {1}", result, values.ids(node.input[2]))
    values.put(node.output[0], result)


def softmax(values: Values, node: onnx.NodeProto) -> None:
    """Add exp(x - max) / sum along one axis: (...) -> (...)."""
    axis = attributes(node).get("axis", -1)
    x = values.ids(node.input[0])
    last = np.moveaxis(x, axis, -1)
    result = _by_row(last, last.shape[-1], lambda row: values.program.call("softmax", row))
    values.put(node.output[0], np.moveaxis(result, -1, axis))


def _by_row(x: Ids, count: int, kernel: Callable[[Ids], Ids]) -> Ids:
    """Apply a kernel to each group of `count` consecutive elements: (...) -> (...)."""
    return np.stack([kernel(row) for row in x.reshape(-1, count)]).reshape(x.shape)


REAL = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)


def _elementwise(form: str) -> Operation:
    """Make an elementwise operation."""

    def operation(values: Values, node: onnx.NodeProto) -> None:
        operands = [values.ids(name) for name in node.input]
        values.put(node.output[0], values.program.elementwise(form, *operands))

    return operation


def _chain(form: str) -> Operation:
    """Make an elementwise operation of any number of inputs, applied from left to right."""

    def operation(values: Values, node: onnx.NodeProto) -> None:
        result = values.ids(node.input[0])
        for name in node.input[1:]:
            result = values.program.elementwise(form, result, values.ids(name))
        values.put(node.output[0], result)

    return operation


def _test(condition: str) -> Operation:
    return _elementwise(f"({condition} ? 1.0f : 0.0f)")


def _call(kernel: str) -> Operation:
    def operation(values: Values, node: onnx.NodeProto) -> None:
        values.put(node.output[0], values.program.call(kernel, values.ids(node.input[0])))

    return operation


def _moved(move: Callable[[Values, onnx.NodeProto, Ids], Array]) -> Operation:
    """Make an operation that only moves elements: numpy moves their ids at generation time."""

    def operation(values: Values, node: onnx.NodeProto) -> None:
        values.put(node.output[0], move(values, node, values.ids(node.input[0])))

    return operation


def _gather(values: Values, node: onnx.NodeProto, x: Ids) -> Ids:
    axis = attributes(node).get("axis", 0)
    if not values.is_constant(node.input[1]):
        return _looked_up(values, np.moveaxis(x, axis, 0), values.ids(node.input[1]))
    return np.take(x, values.constant(node.input[1]).astype(np.int64), axis=axis)


def _gather_nd(values: Values, node: onnx.NodeProto, x: Ids) -> Ids:
    index = values.ids(node.input[1])
    if index.shape[-1] != 1 or attributes(node).get("batch_dims", 0):
        what = f"{node.name} selects along several axes by indices computed at run time"
        raise BadInput("C99", what, expected="along the first one", fix="run it with ONNX Runtime")
    return _looked_up(values, x, index[..., 0])


def _gather_elements(values: Values, node: onnx.NodeProto, x: Ids) -> Ids:
    axis = attributes(node).get("axis", 0) % x.ndim
    index = values.ids(node.input[1])
    rows = np.moveaxis(x, axis, 0)
    positions = np.moveaxis(index, axis, 0)
    result = np.empty(positions.shape, np.int64)
    for position in np.ndindex(positions.shape):
        # Along `axis` the index selects; along all other axes source and result agree.
        column = rows[(slice(None), *position[1:])]
        result[position] = values.program.lookup(column[:, None], positions[position])[0]
    return np.moveaxis(result, 0, axis)


def _looked_up(values: Values, table: Ids, index: Ids) -> Ids:
    """Return rows of a table (N, ...) by indices (...) computed at run time."""
    flat = table.reshape(len(table), -1)
    rows = [values.program.lookup(flat, position) for position in index.reshape(-1, 1)]
    return np.stack(rows).reshape(*index.shape, *table.shape[1:])


def _slice(values: Values, node: onnx.NodeProto, x: Ids) -> Ids:
    starts, ends, *more = [values.constant(name).tolist() for name in node.input[1:]]
    axes = more[0] if more else range(len(starts))
    steps = more[1] if len(more) > 1 else [1] * len(starts)
    where: list[slice] = [slice(None)] * x.ndim
    for axis, *parts in zip(axes, starts, ends, steps, strict=True):
        where[axis] = slice(*(int(part) for part in parts))
    return x[tuple(where)]


def _reshape(values: Values, node: onnx.NodeProto, x: Ids) -> Ids:
    sizes = [int(size) for size in values.constant(node.input[1])]
    if not attributes(node).get("allowzero", 0):
        # A size of 0 copies the size of the input, unless `allowzero` is set.
        sizes = [size or x.shape[axis] for axis, size in enumerate(sizes)]
    return x.reshape(sizes)


def _flatten(values: Values, node: onnx.NodeProto, x: Ids) -> Ids:
    del values
    axis = attributes(node).get("axis", 1)
    first = int(np.prod(x.shape[:axis], dtype=np.int64))
    return x.reshape(first, x.size // first if first else 0)


def _squeeze(values: Values, node: onnx.NodeProto, x: Ids) -> Ids:
    return np.squeeze(x, axes_of(values, node, x.ndim) if len(node.input) > 1 else None)


def _unsqueeze(values: Values, node: onnx.NodeProto, x: Ids) -> Ids:
    axes = values.constant(node.input[1]).reshape(-1)
    return np.expand_dims(x, tuple(int(axis) for axis in axes))


def _expand(values: Values, node: onnx.NodeProto, x: Ids) -> Ids:
    shape = tuple(int(size) for size in values.constant(node.input[1]))
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, shape))


def _tile(values: Values, node: onnx.NodeProto, x: Ids) -> Ids:
    return np.tile(x, [int(count) for count in values.constant(node.input[1])])


def _transpose(values: Values, node: onnx.NodeProto, x: Ids) -> Ids:
    del values
    return np.transpose(x, attributes(node).get("perm"))


def _cast(values: Values, node: onnx.NodeProto) -> None:
    to = attributes(node)["to"]
    x = values.ids(node.input[0])
    if to == onnx.TensorProto.BOOL:
        x = values.program.elementwise("({0} != 0.0f ? 1.0f : 0.0f)", x)
    elif to not in REAL:  # integers are floats at run time, exact up to 2^24
        x = values.program.elementwise("truncf({0})", x)
    values.put(node.output[0], x)


def _shape(values: Values, node: onnx.NodeProto) -> None:
    settings = attributes(node)
    sizes = values.ids(node.input[0]).shape
    part = sizes[settings.get("start", 0) : settings.get("end", len(sizes))]
    values.hold(node.output[0], np.array(part, np.int64))


def _split(values: Values, node: onnx.NodeProto) -> None:
    x = values.ids(node.input[0])
    axis = attributes(node).get("axis", 0)
    if len(node.input) > 1:
        sizes = values.constant(node.input[1])
    else:
        # Rounded up: ONNX makes the last part smaller if the axis is not divisible.
        part_size = -(-x.shape[axis] // len(node.output))
        sizes = np.full(len(node.output), part_size)
    parts = np.split(x, np.cumsum(sizes)[:-1], axis=axis)
    for name, part in zip(node.output, parts, strict=True):
        values.put(name, part)


def _concat(values: Values, node: onnx.NodeProto) -> None:
    parts = [values.ids(name) for name in node.input]
    values.put(node.output[0], np.concatenate(parts, attributes(node)["axis"]))


def _reduced(form: str) -> Operation:
    """Make a reduction over axes, one element after the other, for all results in parallel."""

    def operation(values: Values, node: onnx.NodeProto) -> None:
        x = values.ids(node.input[0])
        keep = attributes(node).get("keepdims", 1)
        axes = axes_of(values, node, x.ndim)
        moved = np.moveaxis(x, axes, range(len(axes)))
        rows = moved.reshape(-1, *moved.shape[len(axes) :])
        total = rows[0]
        for row in rows[1:]:
            total = values.program.elementwise(form, total, row)
        shape = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
        values.put(node.output[0], total.reshape(shape) if keep else total)

    return operation


def _mean(values: Values, node: onnx.NodeProto) -> None:
    _reduced(SUM)(values, node)
    total = values.ids(node.output[0])
    x = values.ids(node.input[0])
    share = values.program.constant(np.array(total.size / x.size))
    values.put(node.output[0], values.program.elementwise("{0} * {1}", total, share))


def _mod(values: Values, node: onnx.NodeProto) -> None:
    """Add the remainder with the sign of the divisor, or with that of the dividend (`fmod`)."""
    is_c = attributes(node).get("fmod", 0)
    _elementwise("fmodf({0}, {1})" if is_c else "({0} - {1} * floorf({0} / {1}))")(values, node)


def _best(values: Values, node: onnx.NodeProto, sign: str = ">") -> None:
    """Add the index of the highest element along an axis (`<`: lowest), the first of equal ones."""
    x = values.ids(node.input[0])
    settings = attributes(node)
    axis = settings.get("axis", 0) % x.ndim
    if settings.get("select_last_index", 0):
        raise BadInput("C99", f"{node.name} selects the last of equal ones", expected="the first")
    highest, *rows = np.moveaxis(x, axis, 0)
    index = values.program.constant(np.zeros(highest.shape))
    for number, row in enumerate(rows, 1):
        here = values.program.constant(np.full(row.shape, float(number)))
        form = f"({{0}} {sign} {{1}} ? {{2}} : {{3}})"
        # Before `highest` is updated; a strict comparison keeps the first of equal elements.
        index = values.program.elementwise(form, row, highest, here, index)
        highest = values.program.elementwise(MAX if sign == ">" else MIN, highest, row)
    values.put(
        node.output[0], np.expand_dims(index, axis) if settings.get("keepdims", 1) else index
    )


def _clip(values: Values, node: onnx.NodeProto) -> None:
    x = values.ids(node.input[0])
    # Written so that NaN stays NaN.
    forms = ("({0} < {1} ? {1} : {0})", "({0} > {1} ? {1} : {0})")
    for form, bound in zip(forms, node.input[1:], strict=False):
        x = values.program.elementwise(form, x, values.ids(bound)) if bound else x
    values.put(node.output[0], x)


def _pow(values: Values, node: onnx.NodeProto) -> None:
    form = "powf({0}, {1})"
    operands = [values.ids(name) for name in node.input]
    # Small powers as products: powf is slow, and its last bit differs between C libraries.
    if values.is_constant(node.input[1]) and (exponent := values.constant(node.input[1])).size == 1:
        product = {2.0: "{0} * {0}", 3.0: "{0} * {0} * {0}"}.get(float(exponent.reshape(())))
        if product:
            form = product
            operands = operands[:1]
    values.put(node.output[0], values.program.elementwise(form, *operands))


def _gelu(values: Values, node: onnx.NodeProto) -> None:
    """Add x Φ(x), or its approximation by tanh (Hendrycks and Gimpel 2016)."""
    form = "0.5f * {0} * (1.0f + erff({0} * 0.707106781f))"
    if attributes(node).get("approximate") == b"tanh":
        inner = "0.797884561f * ({0} + 0.044715f * {0} * {0} * {0})"
        form = f"0.5f * {{0}} * (1.0f + bounded({inner}))"
    values.put(node.output[0], values.program.elementwise(form, values.ids(node.input[0])))


def _bent(form: str, default: float) -> Operation:
    """Make an activation with one slope, `alpha`."""

    def operation(values: Values, node: onnx.NodeProto) -> None:
        slope = values.program.constant(np.array(attributes(node).get("alpha", default)))
        values.put(
            node.output[0], values.program.elementwise(form, values.ids(node.input[0]), slope)
        )

    return operation


SUM = "{0} + {1}"
MAX, MIN = (f"({{0}} {sign} {{1}} || {{0}} != {{0}} ? {{0}} : {{1}})" for sign in "><")
OPERATIONS: dict[str, Operation] = {
    "Add": _elementwise(SUM),
    "Sub": _elementwise("{0} - {1}"),
    "Mul": _elementwise("{0} * {1}"),
    "Div": _elementwise("{0} / {1}"),
    "Neg": _elementwise("-{0}"),
    "Abs": _elementwise("fabsf({0})"),
    "Sign": _elementwise("({0} > 0.0f ? 1.0f : {0} < 0.0f ? -1.0f : {0})"),
    "Sqrt": _elementwise("sqrtf({0})"),
    "Exp": _elementwise("expf({0})"),
    "Log": _elementwise("logf({0})"),
    "Erf": _elementwise("erff({0})"),
    "Tan": _elementwise("tanf({0})"),
    "Asin": _elementwise("asinf({0})"),
    "Acos": _elementwise("acosf({0})"),
    "Atan": _elementwise("atanf({0})"),
    "Sinh": _elementwise("sinhf({0})"),
    "Cosh": _elementwise("coshf({0})"),
    "Asinh": _elementwise("asinhf({0})"),
    "Reciprocal": _elementwise("1.0f / {0}"),
    "Round": _elementwise("rintf({0})"),
    "Floor": _elementwise("floorf({0})"),
    "Ceil": _elementwise("ceilf({0})"),
    "Tanh": _elementwise("bounded({0})"),
    "Sigmoid": _elementwise("0.5f * bounded(0.5f * {0}) + 0.5f"),
    "Softplus": _elementwise("(({0} > 0.0f ? {0} : 0.0f) + log1pf(expf(-fabsf({0}))))"),
    "Relu": _elementwise("({0} < 0.0f ? 0.0f : {0})"),
    "LeakyRelu": _bent("({0} < 0.0f ? {1} * {0} : {0})", 0.01),
    "Elu": _bent("({0} < 0.0f ? {1} * expm1f({0}) : {0})", 1.0),
    "Gelu": _gelu,
    "Max": _chain(MAX),
    "Min": _chain(MIN),
    "Sum": _chain(SUM),
    "Where": _elementwise("({0} != 0.0f ? {1} : {2})"),
    "Equal": _test("{0} == {1}"),
    "Less": _test("{0} < {1}"),
    "LessOrEqual": _test("{0} <= {1}"),
    "Greater": _test("{0} > {1}"),
    "GreaterOrEqual": _test("{0} >= {1}"),
    "And": _test("{0} != 0.0f && {1} != 0.0f"),
    "Or": _test("{0} != 0.0f || {1} != 0.0f"),
    "Not": _test("{0} == 0.0f"),
    "IsNaN": _test("{0} != {0}"),
    "Cast": _cast,
    "Identity": _moved(lambda values, node, x: x),  # noqa: ARG005
    "Sin": _call("sines"),
    "Cos": _call("cosines"),
    "Clip": _clip,
    "Mod": _mod,
    "Pow": _pow,
    "Gather": _moved(_gather),
    "GatherND": _moved(_gather_nd),
    "GatherElements": _moved(_gather_elements),
    "Slice": _moved(_slice),
    "Reshape": _moved(_reshape),
    "Flatten": _moved(_flatten),
    "Squeeze": _moved(_squeeze),
    "Unsqueeze": _moved(_unsqueeze),
    "Expand": _moved(_expand),
    "Tile": _moved(_tile),
    "Transpose": _moved(_transpose),
    "Shape": _shape,
    "Split": _split,
    "Concat": _concat,
    "Gemm": gemm,
    "MatMul": matmul,
    "ReduceSum": _reduced(SUM),
    "ReduceMax": _reduced(MAX),
    "ReduceMin": _reduced(MIN),
    "ReduceMean": _mean,
    "ArgMax": _best,
    "ArgMin": lambda values, node: _best(values, node, "<"),
    "LayerNormalization": normalize,
    "Softmax": softmax,
}
