"""C99 code generation: programs as C functions, with kernels for layers and functions.

`bounded` is tanh as x P(x²) / Q(x²) within ±8, fitted by iteratively reweighted least squares to a
relative error of 7e-9; rounded to float32 it is within 3e-7. It has no branches, so that compilers
vectorize it. `sines` takes x to within π/4 of k π/2 in three parts (Cody and Waite 1980),
whose products with k are exact, then Taylor's series; far from zero it calls math.h.
"""

import re
from collections.abc import Callable, Mapping

import numpy as np

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

BOUNDED = """\
static inline float bounded(float x)
{
    const float y = x > 8.0f ? 8.0f : x < -8.0f ? -8.0f : x;
    const float z = y * y;
    const float p = 0.99999999f + z * (0.134445311f + z * (3.57163644e-3f
        + z * (2.18952609e-5f + z * 1.52311862e-8f)));
    const float q = 1.0f + z * (0.467778585f + z * (2.61645914e-2f
        + z * (3.41135340e-4f + z * 8.52277425e-7f)));
    return y * p / q;
}
"""

ANGLES = """\
/* sin(x + quarter * pi / 2) */
static inline float sine(float x, int quarter)
{
    const float k = rintf(x * 0.636619772f);
    const float r =
        ((x - k * 1.5703125f) - k * 4.8375129699707031e-4f) - k * 7.5497899548918822e-8f;
    const float z = r * r;
    const float s = r + r * z * (-1.66666667e-1f + z * (8.33333333e-3f
        + z * (-1.98412698e-4f + z * 2.75573192e-6f)));
    const float c = 1.0f + z * (-0.5f + z * (4.16666667e-2f + z * (-1.38888889e-3f
        + z * (2.48015873e-5f - z * 2.75573192e-7f))));
    const int q = (int)k + quarter;
    const float v = q & 1 ? c : s;
    return q & 2 ? -v : v;
}

static int near(const float *x, int count)
{
    int far = 0;
    for (int i = 0; i < count; ++i)
        far |= !(fabsf(x[i]) < 8192.0f);
    return !far;
}
"""

SINES = """\
static void sines(const float *x, float *y, int count)
{
    if (near(x, count))
        for (int i = 0; i < count; ++i)
            y[i] = sine(x[i], 0);
    else /* one by one, so that a far value changes no other result */
        for (int i = 0; i < count; ++i)
            y[i] = near(x + i, 1) ? sine(x[i], 0) : sinf(x[i]);
}
"""

COSINES = """\
static void cosines(const float *x, float *y, int count)
{
    if (near(x, count))
        for (int i = 0; i < count; ++i)
            y[i] = sine(x[i], 1);
    else
        for (int i = 0; i < count; ++i)
            y[i] = near(x + i, 1) ? sine(x[i], 1) : cosf(x[i]);
}
"""

NORMALIZE = """\
/* Lanes apart; the variance is that of the values, not of a sample. */
static void normalize(const float *x, float *y, int count, float epsilon)
{
    for (int l = 0; l < LANES; ++l) {
        float mean = 0.0f, variance = 0.0f;
        for (int i = 0; i < count; ++i)
            mean += x[i * LANES + l];
        mean /= (float)count;
        for (int i = 0; i < count; ++i) {
            const float d = x[i * LANES + l] - mean;
            variance += d * d;
        }
        const float scale = 1.0f / sqrtf(variance / (float)count + epsilon);
        for (int i = 0; i < count; ++i)
            y[i * LANES + l] = (x[i * LANES + l] - mean) * scale;
    }
}
"""

SOFTMAX = """\
/* Lanes apart; minus the largest value, so that no exponential overflows. */
static void softmax(const float *x, float *y, int count)
{
    for (int l = 0; l < LANES; ++l) {
        float most = x[l], sum = 0.0f;
        for (int i = 1; i < count; ++i)
            most = x[i * LANES + l] > most ? x[i * LANES + l] : most;
        for (int i = 0; i < count; ++i) {
            const float e = expf(x[i * LANES + l] - most);
            y[i * LANES + l] = e;
            sum += e;
        }
        for (int i = 0; i < count; ++i)
            y[i * LANES + l] /= sum;
    }
}
"""

PRODUCT = """\
/* (rows, inner) times (inner, columns), lanes apart. */
static void product(const float *restrict x, const float *restrict y, float *restrict out,
    int rows, int inner, int columns)
{
    for (int r = 0; r < rows; ++r, out += columns * LANES) {
        for (int i = 0; i < columns * LANES; ++i)
            out[i] = 0.0f;
        for (int k = 0; k < inner; ++k, x += LANES)
            for (int c = 0; c < columns; ++c)
                for (int l = 0; l < LANES; ++l)
                    out[c * LANES + l] += x[l] * y[(k * columns + c) * LANES + l];
    }
}
"""

# One block of a layer's outputs: its weights hold, row after row, first the bias, then an input's.
DENSE = """\
static void dense_{width}(
    const float *restrict w, const float *restrict x, float *restrict y, int inputs)
{{
    float a[{width}], b[{width}]; /* two sums each, which do not wait for one another */
    for (int k = 0; k < {width}; ++k)
        a[k] = w[k], b[k] = 0.0f;
    w += {width};
    int i = 0;
    for (; i + 2 <= inputs; i += 2, w += 2 * {width}) {{
        for (int k = 0; k < {width}; ++k)
            a[k] += x[i] * w[k];
        for (int k = 0; k < {width}; ++k)
            b[k] += x[i + 1] * w[{width} + k];
    }}
    for (int k = 0; i < inputs && k < {width}; ++k)
        a[k] += x[i] * w[k];
    for (int k = 0; k < {width}; ++k)
        y[k] = a[k] + b[k];
}}
"""

# The same for several rows in parallel; gcc and clang keep such vectors in registers.
DENSE_LANES = """\
static void dense_{width}(
    const float *restrict w, const float *restrict x, float *restrict y, int inputs)
{{
    row a[{width}];
    for (int k = 0; k < {width}; ++k)
        a[k] = w[k] + (row){{0}};
    for (int i = 0; i < inputs; ++i) {{
        const row b = *(const row *)(x + i * LANES);
        w += {width};
        for (int k = 0; k < {width}; ++k)
            a[k] += w[k] * b;
    }}
    for (int k = 0; k < {width}; ++k)
        *(row *)(y + k * LANES) = a[k];
}}
"""

# A layer of few outputs: its weights hold, output after output, first the bias. Sixteen independent
# sums hide the latency of an addition.
DOTS = """\
static void dots(const float *restrict w, const float *restrict x, float *restrict y, int inputs,
    int outputs)
{
    for (int k = 0; k < outputs; ++k, w += inputs + 1) {
        float a[16] = {w[0]};
        int i = 0;
        for (; i + 16 <= inputs; i += 16)
            for (int j = 0; j < 16; ++j)
                a[j] += x[i + j] * w[1 + i + j];
        for (; i < inputs; ++i)
            a[0] += x[i] * w[1 + i];
        for (int half = 8; half; half /= 2)
            for (int j = 0; j < half; ++j)
                a[j] += a[j + half];
        y[k] = a[0];
    }
}
"""

LOOKUP = """\
/* One row of a table; an index beyond its ends reads the first or last row, NaN the first. */
static int row_at(float index, int rows)
{
    return !(index > 0.0f) ? 0 : index < (float)(rows - 1) ? (int)index : rows - 1;
}
"""


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
        return self._looped(loops, f"{result} = {form};")

    def _looped(self, loops: list[str], statement: str) -> list[str]:
        """Write nested loops around a statement, the innermost one over lanes if there are any."""
        loops = [*loops, "for (int l = 0; l < LANES; ++l)"] if self._lanes > 1 else loops
        return [f"{'    ' * depth}{line}" for depth, line in enumerate([*loops, statement], 1)]

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
        result = self._item(Operand(statement.out, 1), 2)
        return self._looped(
            [f"for (int i = 0; i < {statement.count}; ++i)"], f"{result} = {value};"
        )

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
_WRITE: dict[type, Callable[..., list[str]]] = {
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
