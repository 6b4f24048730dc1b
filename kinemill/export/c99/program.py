"""Program of a step: loops over numbered memory, for one row of the batch.

Every element of every tensor has an id: inputs from 0 on, then computed elements; constants have
negative ids. Operations that only move data (Gather, Slice, Concat, ...) cost nothing at run time:
numpy applies them to the ids during generation. Loops remain, and copies where a layer needs
contiguous inputs.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput

Ids = NDArray[np.int64]
Numbers = NDArray[np.float32]
Array = NDArray[Any]  # any type of ONNX


@dataclass(frozen=True)
class Operand:
    """Elements `first`, `first + step`, ...; of constants, `step` counts in their table."""

    first: int
    step: int


@dataclass(frozen=True)
class Each:
    """`out[i] = form(operands[i])` for i below `count`."""

    out: int
    count: int
    form: str
    operands: tuple[Operand, ...]


@dataclass(frozen=True)
class Dense:
    """`out = bias + x @ weight`: (I,), (I, O) -> (O,)."""

    out: int
    x: int
    weight: Numbers
    bias: Numbers


@dataclass(frozen=True)
class Product:
    """`out = x @ y`, both computed at run time: (rows, inner), (inner, columns)."""

    out: int
    x: int
    y: int
    rows: int
    inner: int
    columns: int


@dataclass(frozen=True)
class Call:
    """`out[0:count] = kernel(x[0:count])`, for kernels over whole vectors."""

    out: int
    x: int
    count: int
    kernel: str
    more: tuple[float, ...] = ()


@dataclass(frozen=True)
class Lookup:
    """`out[i] = table[index * count + i]` for i below `count`, the index computed at run time.

    The index is clamped to 0 ... `rows` - 1; NaN reads row 0. A negative `table` is in constants.
    """

    out: int
    table: int
    index: int
    rows: int
    count: int


Statement = Each | Dense | Product | Call | Lookup


@dataclass
class Program:
    """Statements and memory of a step.

    Attributes:
        inputs: number of input elements.
        elements: number of all elements in memory, with inputs.
        constants: constants of loops.
        statements: statements in order.
        outputs: ids of the results.
        chunks: first element and size of each allocation, in order.
    """

    inputs: int
    elements: int = 0
    constants: list[float] = field(default_factory=list[float])
    statements: list[Statement] = field(default_factory=list[Statement])
    outputs: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    chunks: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def __post_init__(self) -> None:
        self.elements = self.inputs
        self._constants_by_bytes: dict[bytes, Ids] = {}

    @property
    def multiplications(self) -> int:
        """Multiplications and additions of layers and matrix products."""
        layers = sum(
            statement.weight.size for statement in self.statements if isinstance(statement, Dense)
        )
        products = [statement for statement in self.statements if isinstance(statement, Product)]
        return layers + sum(product.rows * product.inner * product.columns for product in products)

    @property
    def numbers(self) -> int:
        """Number of constants with weights; equal layers share them."""
        layers = {
            (statement.weight.tobytes(), statement.bias.tobytes()): statement.weight.size
            + statement.bias.size
            for statement in self.statements
            if isinstance(statement, Dense)
        }
        return len(self.constants) + sum(layers.values())

    def constant(self, values: Array) -> Ids:
        """Return ids of the elements of a constant, in its shape; equal constants share them."""
        flat = np.ascontiguousarray(values, dtype=np.float32).reshape(-1)
        if not np.isfinite(flat).all():
            raise BadInput("step.onnx", "holds a constant that is not finite")
        key = flat.tobytes()
        if key not in self._constants_by_bytes:
            start = len(self.constants)
            self.constants.extend(flat.tolist())
            # Negative ids, from -1 down, so that they never equal an element of memory.
            self._constants_by_bytes[key] = -1 - np.arange(start, start + flat.size)
        return self._constants_by_bytes[key].reshape(values.shape)

    def make(self, shape: Iterable[int]) -> Ids:
        """Return ids of new elements in a shape, contiguous in memory."""
        shape = tuple(shape)
        count = int(np.prod(shape, dtype=np.int64))
        start = self.elements + 1  # a gap: chunks may be moved apart later
        self.elements = start + count
        self.chunks.append((start, count))
        return np.arange(start, start + count).reshape(shape)

    def elementwise(self, form: str, *operands: Ids) -> Ids:
        """Add loops that compute `form` for all elements of operands, broadcast as in numpy."""
        broadcast = np.broadcast_arrays(*operands)
        out = self.make(broadcast[0].shape)
        flat = [item.reshape(-1) for item in broadcast]
        # One loop for each stretch in which every operand has elements at equal distances.
        start = 0
        while start < out.size:
            stop = start + min(self._stretch(item[start:]) for item in flat)
            parts = tuple(_operand(item[start:stop]) for item in flat)
            self.statements.append(Each(int(out.flat[start]), stop - start, form, parts))
            start = stop
        return out

    def contiguous(self, ids: Ids) -> int:
        """Return the address of contiguous elements, after a copy if needed."""
        flat = ids.reshape(-1)
        first = int(flat[0])
        # Kernels read memory, so constants are copied even if they are contiguous.
        if first >= 0 and np.array_equal(flat, np.arange(first, first + flat.size)):
            return first
        return int(self.elementwise("{0}", flat)[0])

    def lookup(self, table: Ids, index: Ids) -> Ids:
        """Add the choice of one row of a table: (rows, count), () -> (count,)."""
        rows, count = table.shape
        out = self.make((count,))
        flat = table.reshape(-1)
        first = int(flat[0])
        # Consecutive constants have descending ids; any other table is copied to memory first.
        if not np.array_equal(flat, first - np.arange(flat.size)) or first >= 0:
            first = self.contiguous(table)
        self.statements.append(Lookup(int(out[0]), first, self.contiguous(index), rows, count))
        return out

    def dense(self, x: Ids, weight: Numbers, bias: Numbers) -> Ids:
        """Add a layer for every row of x (..., I): weight (I, O), bias (O,) -> (..., O)."""
        out = self.make((*x.shape[:-1], weight.shape[1]))
        rows = x.reshape(-1, x.shape[-1])
        results = out.reshape(-1, weight.shape[1])
        for row, result in zip(rows, results, strict=True):
            self.statements.append(Dense(int(result[0]), self.contiguous(row), weight, bias))
        return out

    def product(self, x: Ids, y: Ids) -> Ids:
        """Add a matrix product: (rows, inner), (inner, columns) -> (rows, columns)."""
        out = self.make((x.shape[0], y.shape[1]))
        if out.size and x.size:
            (rows, inner), columns = x.shape, y.shape[1]
            addresses = self.contiguous(x), self.contiguous(y)
            self.statements.append(Product(int(out[0, 0]), *addresses, rows, inner, columns))
        return out

    def call(self, kernel: str, x: Ids, *more: float) -> Ids:
        """Add a kernel over all elements of x: (...) -> (...)."""
        out = self.make(x.shape)
        start = int(out.reshape(-1)[0])
        self.statements.append(Call(start, self.contiguous(x), x.size, kernel, more))
        return out

    def _stretch(self, ids: Ids) -> int:
        """Return the number of leading elements at equal distances in one chunk."""
        low, high = self._chunk(int(ids[0]))
        steps = np.diff(ids)
        # A stretch must not leave its chunk: chunks move separately when memory is reused.
        ends = (steps != steps[:1]) | (ids[1:] < low) | (ids[1:] >= high)
        breaks = np.flatnonzero(ends)
        return int(breaks[0]) + 1 if len(breaks) else len(ids)

    def _chunk(self, element: int) -> tuple[int, int]:
        """Return the first element of a chunk, and the one after its last."""
        if element < self.inputs:
            return (-len(self.constants), 0) if element < 0 else (0, self.inputs)
        index = bisect_right(self.chunks, element, key=lambda chunk: chunk[0]) - 1
        first, count = self.chunks[index]
        return first, first + count


def _operand(ids: Ids) -> Operand:
    """Return ids at equal distances as an operand; constants count upward in their table."""
    step = int(ids[1] - ids[0]) if len(ids) > 1 else 0
    return Operand(int(ids[0]), -step if ids[0] < 0 else step)
