"""Matrix products, normalization and softmax of a step, for one row of the batch.

Arrays hold ids of elements, see `program`. Symbols: I inputs, O outputs, R rows, C columns.
"""

from collections.abc import Callable

import numpy as np
import onnx

from kinemill.export.c99.program import Ids, Numbers
from kinemill.export.c99.values import Values, attributes


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
