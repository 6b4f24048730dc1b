"""C99 code generation: programs as C functions."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from kinemill.export.c99.kernels import (
    ANGLES,
    BOUNDED,
    COSINES,
    DENSE,
    DENSE_LANES,
    DOTS,
    LOOKUP,
    NORMALIZE,
    PRODUCT,
    SINES,
    SOFTMAX,
)
from kinemill.export.c99.program import (
    Array,
    Call,
    Dense,
    Each,
    Lookup,
    Numbers,
    Operand,
    Product,
    Program,
)

BY_LANE = ("normalize", "softmax")  # kernels with a separate loop for each lane
WIDTH = 64
WIDTH_LANES = 8  # outputs of a layer in one block, as many as the registers hold
NARROW = 8
PARTS = 32  # a layer of at most 8 outputs and 32 or more inputs uses the kernel `dots`


def functions(programs: Mapping[str, Program], lanes: int) -> str:
    """Return the C of programs, each a function `name(in, out)`, and of the kernels they call.

    Args:
        programs: programs by name.
        lanes: rows in parallel; the C code needs LANES defined as this number.
    """
    emitted = [_Emitter(name, program, lanes) for name, program in programs.items()]
    texts = [text for emitter in emitted for text in emitter.tables]
    bodies = [emitter.function() for emitter in emitted]
    widths = sorted({width for emitter in emitted for width in emitter.widths})
    used = "".join(bodies)
    form = DENSE if lanes == 1 else DENSE_LANES
    kernels = {
        "bounded(": BOUNDED,
        " sines(": SINES,
        " cosines(": COSINES,
        "normalize(": NORMALIZE,
        "softmax(": SOFTMAX,
        "product(": PRODUCT,
        "dots(": DOTS,
        "row_at(": LOOKUP,
    }
    texts += [ANGLES] if "sines(" in used else []
    texts += [text for call, text in kernels.items() if call in used]
    texts += [form.format(width=width) for width in widths]
    return "\n".join([*texts, *bodies])


class _Emitter:
    """Writes one program as a function `name(in, out)`."""

    def __init__(self, name: str, program: Program, lanes: int) -> None:
        self._name = name
        self._program = program
        self._lanes = lanes
        self.widths: set[int] = set()
        self.tables: list[str] = []
        self._named: dict[bytes, str] = {}  # names of tables by content: equal layers share one
        if program.constants:
            self.tables.append(_table(f"{name}_constants", np.array(program.constants)))
        self._lines = [
            line
            for statement in program.statements
            for line in _WRITE[type(statement)](self, statement)
        ]

    def function(self) -> str:
        """Return the function."""
        # Inputs are read in place from `in`; only computed elements need memory.
        count = self._program.elements - self._program.inputs
        memory = (
            [f"    float m[{count * self._lanes}]{_ALIGNED[self._lanes > 1]};"] if count else []
        )
        head = f"static void {self._name}(const float *restrict in, float *restrict out)"
        return "\n".join([head, "{", *memory, *self._lines, *self._results(), "}", ""])

    def elementwise(self, statement: Each) -> list[str]:
        """Write a loop."""
        result = self._item(Operand(statement.out, 1), statement.count)
        form = statement.form.format(
            *(self._item(item, statement.count) for item in statement.operands)
        )
        loops = [f"for (int i = 0; i < {statement.count}; ++i)"] if statement.count > 1 else []
        loops += ["for (int l = 0; l < LANES; ++l)"] if self._lanes > 1 else []
        lines = [f"{'    ' * (depth + 1)}{loop}" for depth, loop in enumerate(loops)]
        return [*lines, f"{'    ' * (len(loops) + 1)}{result} = {form};"]

    def _item(self, operand: Operand, count: int) -> str:
        step = _times(operand.step, "i") if count > 1 else ""
        # Constant k has the id -1 - k.
        if operand.first < 0:
            return f"{self._name}_constants[{_plus(-1 - operand.first, step)}]"
        array, first = self._array(operand.first)
        if self._lanes == 1:
            return f"{array}[{_plus(first, step)}]"
        # Lanes are the innermost axis, so that a vector register holds one element of all rows.
        return f"{array}[({_plus(first, step)}) * LANES + l]"

    def _array(self, first: int) -> tuple[str, int]:
        inputs = self._program.inputs
        return ("in", first) if first < inputs else ("m", first - inputs)

    def _pointer(self, first: int) -> str:
        array, first = self._array(first)
        return f"{array} + {first * self._lanes}" if first else array

    def dense(self, statement: Dense) -> list[str]:
        """Write a layer, block after block of its outputs."""
        inputs, outputs = statement.weight.shape
        # The bias comes first, because the kernels begin their sums with it.
        rows = np.vstack([statement.bias, statement.weight])
        # Few outputs leave most of a vector register idle, so the sum over inputs is vectorized.
        if self._lanes == 1 and outputs <= NARROW and inputs >= PARTS:
            # Transposed: `dots` reads the weights of one output after those of the other.
            name = self._layer([rows.T])
            x = self._pointer(statement.x)
            y = self._pointer(statement.out)
            return [f"    dots({name}, {x}, {y}, {inputs}, {outputs});"]
        widest = WIDTH if self._lanes == 1 else WIDTH_LANES
        starts = range(0, outputs, widest)
        blocks = [rows[:, start : start + widest] for start in starts]
        name = self._layer(blocks)
        lines = list[str]()
        offset = 0
        for start, block in zip(starts, blocks, strict=True):
            width = block.shape[1]
            self.widths.add(width)
            x = self._pointer(statement.x)
            y = self._pointer(statement.out + start)
            lines.append(f"    dense_{width}({_plus(name, offset)}, {x}, {y}, {inputs});")
            offset += block.size
        return lines

    def _layer(self, blocks: list[Numbers]) -> str:
        """Return the name of the table that holds the blocks of a layer in sequence."""
        values = np.concatenate([block.reshape(-1) for block in blocks])
        key = values.tobytes()
        if key not in self._named:
            self._named[key] = f"{self._name}_layer_{len(self.tables)}"
            self.tables.append(_table(self._named[key], values))
        return self._named[key]

    def call(self, statement: Call) -> list[str]:
        """Write a call of a kernel."""
        more = "".join(f", {spelled(value)}" for value in statement.more)
        # Elementwise kernels treat all lanes as one long vector.
        count = statement.count if statement.kernel in BY_LANE else statement.count * self._lanes
        x = self._pointer(statement.x)
        y = self._pointer(statement.out)
        return [f"    {statement.kernel}({x}, {y}, {count}{more});"]

    def product(self, statement: Product) -> list[str]:
        """Write a matrix product."""
        pointers = ", ".join(
            self._pointer(first) for first in (statement.x, statement.y, statement.out)
        )
        return [
            f"    product({pointers}, {statement.rows}, {statement.inner}, {statement.columns});"
        ]

    def lookup(self, statement: Lookup) -> list[str]:
        """Write the lookup of one row of a table."""
        index = self._item(Operand(statement.index, 0), 1)
        lanes = self._lanes > 1
        row = f"{_times(statement.count, f'row_at({index}, {statement.rows})')} + i"
        if statement.table < 0:
            value = f"{self._name}_constants[{_plus(-1 - statement.table, row)}]"
        else:
            array, first = self._array(statement.table)
            offset = _plus(first, row)
            value = f"{array}[({offset}) * LANES + l]" if lanes else f"{array}[{offset}]"
        loops = [f"for (int i = 0; i < {statement.count}; ++i)"]
        loops += ["for (int l = 0; l < LANES; ++l)"] if lanes else []
        lines = [f"{'    ' * (depth + 1)}{loop}" for depth, loop in enumerate(loops)]
        result = self._item(Operand(statement.out, 1), 2)
        return [*lines, f"{'    ' * (len(loops) + 1)}{result} = {value};"]

    def _results(self) -> list[str]:
        """Write the copies of the results of a program, one for each contiguous stretch."""
        lines = list[str]()
        start = 0
        ids = self._program.outputs
        while start < len(ids):
            rest = ids[start:]
            # Inputs and memory are two arrays in C, although their ids are consecutive.
            apart = (np.diff(rest) != 1) | (rest[1:] == self._program.inputs)
            breaks = np.flatnonzero(apart)
            count = int(breaks[0]) + 1 if len(breaks) else len(rest)
            size = f"{count * self._lanes} * sizeof(float)"
            lines.append(
                f"    memcpy(out + {start * self._lanes}, {self._pointer(int(rest[0]))}, {size});"
            )
            start += count
        return lines


_ALIGNED = {False: "", True: " __attribute__((aligned(64)))"}
_WRITE: dict[type, Any] = {
    Each: _Emitter.elementwise,
    Dense: _Emitter.dense,
    Product: _Emitter.product,
    Call: _Emitter.call,
    Lookup: _Emitter.lookup,
}


def _plus(first: int | str, step: int | str) -> str:
    parts = [str(part) for part in (first, step) if part not in (0, "")]
    return " + ".join(parts) or "0"


def _times(factor: int, index: str) -> str:
    return {0: "", 1: index}.get(factor, f"{factor} * {index}")


def spelled(value: float) -> str:
    """Return the C literal of a number, exact as float32: 9 digits restore all 24 bits."""
    text = f"{float(np.float32(value)):.9g}"
    return f"{text}f" if re.search(r"[.e]", text) else f"{text}.0f"


def _table(name: str, values: Array) -> str:
    numbers = [spelled(value) for value in values]
    lines = [", ".join(numbers[i : i + 8]) for i in range(0, len(numbers), 8)]
    body = ",\n    ".join(lines)
    return f"static const float {name}[{len(numbers)}] = {{\n    {body}}};\n"
