"""Program of a step: loops over numbered memory, for one row of the batch.

Every element of every tensor has an id: inputs from 0 on, then computed elements; constants have
negative ids. Operations that only move data (Gather, Slice, Concat, ...) cost nothing at run time:
numpy applies them to the ids during generation. Loops remain, and copies where a layer needs
contiguous inputs.

`tidy` fuses loops, and reuses memory of elements that are no longer read. Before, every element has
a unique index and is written once, as in static single assignment. Afterwards several elements
share an address, so the order of statements matters.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput

Ids = NDArray[np.int64]
Numbers = NDArray[np.float32]
Array = NDArray[Any]  # any type of ONNX

_Span = tuple[int, int]  # first element, and the one after the last


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


def tidy(program: Program) -> None:
    """Fuse loops, then reuse memory; both change the program in place."""
    # In this order: fusion needs each element to be written once, which reuse ends.
    _join(program)
    _reuse(program)


def _reads(statement: Statement) -> Iterator[_Span]:
    """Yield the spans of elements that a statement reads; constants have negative ids."""
    if isinstance(statement, Each):
        for item in statement.operands:
            if item.first >= 0:
                last = item.first + item.step * (statement.count - 1)
                yield min(item.first, last), max(item.first, last) + 1
    elif isinstance(statement, Dense):
        yield statement.x, statement.x + statement.weight.shape[0]
    elif isinstance(statement, Product):
        yield statement.x, statement.x + statement.rows * statement.inner
        yield statement.y, statement.y + statement.inner * statement.columns
    elif isinstance(statement, Lookup):
        yield statement.index, statement.index + 1
        if statement.table >= 0:
            yield statement.table, statement.table + statement.rows * statement.count
    else:
        yield statement.x, statement.x + statement.count


def _join(program: Program) -> None:
    """Compute a loop inside the only loop that reads it."""
    readers = np.zeros(program.elements, np.int64)
    for statement in program.statements:
        for first, stop in _reads(statement):
            readers[first:stop] += 1
    readers[program.outputs] += 2  # an output is read by the caller as well: never fuse it
    made = {
        statement.out: statement for statement in program.statements if isinstance(statement, Each)
    }
    remaining = list[Statement]()
    removed = set[int]()
    for statement in program.statements:
        joined = (
            _joined(statement, made, readers, removed) if isinstance(statement, Each) else statement
        )
        if isinstance(joined, Each):
            made[joined.out] = joined
        remaining.append(joined)
    program.statements[:] = [operation for operation in remaining if operation.out not in removed]


def _joined(statement: Each, made: dict[int, Each], readers: Ids, removed: set[int]) -> Each:
    """Return a loop with the producers of its operands inlined; add those to `removed`.

    A producer is inlined if it has as many elements, is read element by element, once, and by this
    loop alone. Otherwise it would be computed more than once.
    """
    operands = list(statement.operands)
    form = statement.form
    for index, item in enumerate(statement.operands):
        producer = made.get(item.first)
        # A second occurrence in the form would compute the producer twice.
        if producer is None or producer.count != statement.count or form.count(f"{{{index}}}") != 1:
            continue
        if statement.count > 1 and item.step != 1:
            continue
        # Another reader needs the elements in memory.
        if not (readers[producer.out : producer.out + producer.count] == 1).all():
            continue
        start = len(operands)
        inner = producer.form.format(*(f"{{{start + i}}}" for i in range(len(producer.operands))))
        form = form.replace(f"{{{index}}}", f"({inner})")
        operands.extend(producer.operands)
        removed.add(producer.out)
    return _without_gaps(replace(statement, form=form, operands=tuple(operands)))


def _without_gaps(statement: Each) -> Each:
    """Drop operands that the form no longer names, and renumber the others."""
    named = [i for i in range(len(statement.operands)) if f"{{{i}}}" in statement.form]
    names = ["" for _ in statement.operands]
    for new, old in enumerate(named):
        names[old] = f"{{{new}}}"
    return replace(
        statement,
        form=statement.form.format(*names),
        operands=tuple(statement.operands[i] for i in named),
    )


def _reuse(program: Program) -> None:
    """Give later statements the memory of elements that no later statement reads."""
    starts = [first for first, _ in program.chunks]
    last: dict[int, int] = {}  # last statement that writes or reads each chunk
    for time, statement in enumerate(program.statements):
        for first, _ in [(statement.out, 0), *_reads(statement)]:
            if first >= program.inputs:
                last[bisect_right(starts, first) - 1] = time
    for first in program.outputs[program.outputs >= program.inputs].tolist():
        last[bisect_right(starts, first) - 1] = len(program.statements)
    addresses = _allocate(program, starts, last)

    def moved(first: int) -> int:
        if first < program.inputs:
            return first
        chunk = bisect_right(starts, first) - 1
        return addresses[chunk] + first - starts[chunk]

    program.statements[:] = [_moved(statement, moved) for statement in program.statements]
    program.outputs = np.array([moved(int(item)) for item in program.outputs], np.int64)


def _allocate(program: Program, starts: list[int], last: dict[int, int]) -> dict[int, int]:
    """Return the address of each chunk: the first gap that is large enough when it is written.

    Statements are visited in order, as in linear scan (Poletto and Sarkar 1999).
    """
    addresses = dict[int, int]()
    living = dict[int, _Span]()
    end = program.inputs
    for time, statement in enumerate(program.statements):
        chunk = bisect_right(starts, statement.out) - 1
        if chunk in addresses:
            continue
        for old in [old for old in living if last[old] < time]:
            del living[old]
        size = program.chunks[chunk][1]
        address = program.inputs
        for first, stop in sorted(living.values()):
            if address + size <= first:
                break
            address = max(address, stop)
        addresses[chunk], living[chunk] = address, (address, address + size)
        end = max(end, address + size)
    program.elements = end
    return addresses


_ADDRESSES = {"out", "x", "y", "table", "index"}  # fields of statements


def _moved(statement: Statement, moved: Callable[[int], int]) -> Statement:
    if isinstance(statement, Each):
        operands = tuple(Operand(moved(item.first), item.step) for item in statement.operands)
        return replace(statement, out=moved(statement.out), operands=operands)
    fields = vars(statement)
    return replace(statement, **{name: moved(fields[name]) for name in _ADDRESSES & fields.keys()})
