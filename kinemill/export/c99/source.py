"""From a step.onnx to the text of `step.c` and `step.h`."""

import re
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import onnx

from kinemill.errors import BadInput
from kinemill.export.c99.kernels import (
    ANGLES,
    BOUNDED,
    COSINES,
    DENSE,
    DENSE_LANES,
    DOTS,
    NORMALISE,
    SINES,
)
from kinemill.export.c99.program import (
    Call,
    Dense,
    Each,
    Ids,
    Numbers,
    Operand,
    Program,
)
from kinemill.export.c99.translating import compile_graph
from kinemill.runtime import Interface

WIDTH, WIDTH_LANES = 64, 8  # outputs of a layer at once: what fits the registers
NARROW, PARTS = 8, 32  # outputs so few of inputs so many are summed up in parts
BARE = "unguarded."


@dataclass(frozen=True)
class Source:
    """A step in C99.

    Attributes:
        name: what its functions begin with.
        header: step.h.
        code: step.c.
        weights: bytes of constants.
        scratch: bytes of stack that a step needs.
        multiplications: of one step, each with an addition.
    """

    name: str
    header: str
    code: str
    weights: int
    scratch: int
    multiplications: int


@dataclass(frozen=True)
class Parts:
    """The programs of a step.

    Attributes:
        interface: what goes in and comes out.
        core: (state, carry, action) -> (next state, next carry).
        warm: (state, carry, action) -> next carry, without what only a prediction needs.
        guarded: whether NaN in an input is put into every output.
    """

    interface: Interface
    core: Program
    warm: Program
    guarded: bool


def read(model: bytes) -> Parts:
    """Translate a step.onnx.

    Raises:
        BadInput: it holds an operation that is not translated, or is none of kinemill's.
    """
    proto = onnx.load_from_string(model)
    properties = {item.key: item.value for item in proto.metadata_props}
    interface = Interface.from_metadata("step.onnx", properties)
    graph = proto.graph
    made = {name for node in graph.node for name in node.output}
    guarded = f"{BARE}next_state" in made
    bare = BARE if guarded else ""
    after = [f"{bare}next_{item.name}" for item in interface.carry]
    given = _given(interface)
    return Parts(
        interface,
        compile_graph(graph, [f"{bare}next_state", *after], given),
        compile_graph(graph, after, given) if after else Program(_size(given)),
        guarded,
    )


def _given(interface: Interface) -> dict[str, Ids]:
    """Number the inputs: state, carry, action, so that outputs are the front of the next inputs."""
    shapes = {"state": (len(interface.states),)}
    shapes |= {item.name: item.shape for item in interface.carry}
    shapes["action"] = (len(interface.actions),)
    given, start = dict[str, Ids](), 0
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        given[name] = np.arange(start, start + size).reshape(1, *shape)
        start += size
    return given


def _size(given: dict[str, Ids]) -> int:
    return sum(item.size for item in given.values())


def sizes_of(interface: Interface) -> tuple[int, int, int]:
    """Return how many numbers state, action and carry are."""
    carried = sum(int(np.prod(item.shape)) for item in interface.carry)
    return len(interface.states), len(interface.actions), carried


def generate(model: bytes) -> Source:
    """Return C99 of a step.onnx, one row at a time, after any C compiler's taste.

    Raises:
        BadInput: it holds an operation that is not translated, or is none of kinemill's.
    """
    parts = read(model)
    name = identifier(parts.interface.task)
    return Source(
        name,
        _header(parts, name),
        _code(parts, name),
        weights=4 * parts.core.numbers,
        scratch=4 * parts.core.elements,
        multiplications=parts.core.multiplications,
    )


def identifier(task: str) -> str:
    """Return a name for C.

    Raises:
        BadInput: a task could not be called so.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", task):
        raise BadInput("task", repr(task), expected="lower-case letters, digits and _")
    return task


def _header(parts: Parts, name: str) -> str:
    interface, guard = parts.interface, f"{name.upper()}_STEP_H"
    states, actions, carry = sizes_of(interface)
    big = name.upper()
    lists = "".join(
        _comment(f"{what}[{i}]: {one}, {interface.units[one]}")
        for what, names in (("state", interface.states), ("action", interface.actions))
        for i, one in enumerate(names)
    )
    return f"""\
/* One step of the model of {name}, made by kinemill {version("kinemill")} from step.onnx.
{lists} *
 * {4 * parts.core.numbers} bytes of constants, {4 * parts.core.elements} bytes of stack,
 * {parts.core.multiplications} multiplications a step; no allocation, no state of its own.
 */
#ifndef {guard}
#define {guard}

#define {big}_STATES {states}
#define {big}_ACTIONS {actions}
#define {big}_CARRY {carry}
#define {big}_HISTORY {interface.history} /* steps until a prediction has seen all it wants */
#define {big}_DT {float(interface.dt)!r} /* s */

/* Advance by one time step.
 * state: now; action: acts from now on; next_state: a step later, may be `state` itself;
 * carry: what the model remembers, all zeros before the first step, changed in place; angles come
 * out within [-pi, pi]; a NaN or infinity that goes in comes out as NaN everywhere. */
void {name}_step(const float *state, const float *action, float *carry, float *next_state);

#endif
"""


def _comment(line: str) -> str:
    """Spell a line within a comment: names from a model must not end it, nor begin another."""
    plain = re.sub(r"[^ -\[\]-~]|\\?\\?", "_", line.replace("·", "*"))
    return f" * {plain.replace('*/', '* /').replace('/*', '/ *')}\n"


def _code(parts: Parts, name: str) -> str:
    states, actions, carry = sizes_of(parts.interface)
    total = states + carry + actions
    return f"""\
#include "step.h"

#include <math.h>
#include <string.h>

#define LANES 1

{functions(parts, 1, ("core",))}
void {name}_step(const float *state, const float *action, float *carry, float *next_state)
{{
    float in[{total}], out[{states + carry}], nothing = 0.0f;
    memcpy(in, state, {states} * sizeof(float));
{_copied("in + " + str(states), "carry", carry)}\
{_copied("in + " + str(states + carry), "action", actions)}\
    core(in, out);
{_guard(total) if parts.guarded else ""}\
    for (int i = 0; i < {states}; ++i)
        next_state[i] = out[i] + nothing;
    for (int i = 0; i < {carry}; ++i)
        carry[i] = out[{states} + i] + nothing;
    (void)action, (void)carry;
}}
"""


def _copied(to: str, source: str, count: int) -> str:
    return f"    memcpy({to}, {source}, {count} * sizeof(float));\n" if count else ""


def _guard(total: int) -> str:
    return f"    for (int i = 0; i < {total}; ++i)\n        nothing += 0.0f * in[i];\n"


def functions(parts: Parts, lanes: int, which: tuple[str, ...]) -> str:
    """Return the C of `core` and `warm`, and of what they call."""
    programs: dict[str, Program] = {name: getattr(parts, name) for name in which}
    emitted = [_Emitter(name, program, lanes) for name, program in programs.items()]
    texts = [text for one in emitted for text in one.tables]
    bodies = [one.function() for one in emitted]
    widths = sorted({width for one in emitted for width in one.widths})
    used = "".join(bodies)
    form = DENSE if lanes == 1 else DENSE_LANES
    kernels = {
        "bounded(": BOUNDED,
        " sines(": SINES,
        " cosines(": COSINES,
        "normalise(": NORMALISE,
        "dots(": DOTS,
    }
    texts += [ANGLES] if "sines(" in used else []
    texts += [text for call, text in kernels.items() if call in used]
    texts += [form.format(width=width) for width in widths]
    return "\n".join([*texts, *bodies])


class _Emitter:
    """Writes one program as a function `name(in, out)`."""

    def __init__(self, name: str, program: Program, lanes: int) -> None:
        self._name, self._program, self._lanes = name, program, lanes
        self.widths: set[int] = set()
        self.tables: list[str] = []
        if program.constants:
            self.tables.append(_table(f"{name}_constants", np.array(program.constants)))
        self._lines = [line for one in program.statements for line in self._statement(one)]

    def function(self) -> str:
        """Return the function."""
        own = self._program.elements - self._program.inputs
        memory = [f"    float m[{own * self._lanes}]{_ALIGNED[self._lanes > 1]};"] if own else []
        head = f"static void {self._name}(const float *restrict in, float *restrict out)"
        return "\n".join([head, "{", *memory, *self._lines, *self._results(), "}", ""])

    def _statement(self, one: Any) -> list[str]:
        return _WRITE[type(one)](self, one)

    def each(self, one: Each) -> list[str]:
        """Write a loop."""
        result = self._item(Operand(one.out, 1), one.count)
        form = one.form.format(*(self._item(item, one.count) for item in one.operands))
        loops = [f"for (int i = 0; i < {one.count}; ++i)"] if one.count > 1 else []
        loops += ["for (int l = 0; l < LANES; ++l)"] if self._lanes > 1 else []
        lines = [f"{'    ' * (depth + 1)}{loop}" for depth, loop in enumerate(loops)]
        return [*lines, f"{'    ' * (len(loops) + 1)}{result} = {form};"]

    def _item(self, operand: Operand, count: int) -> str:
        step = "i" if operand.step and count > 1 else ""
        if operand.first < 0:
            return f"{self._name}_constants[{_plus(-1 - operand.first, step)}]"
        array, first = self._array(operand.first)
        if self._lanes == 1:
            return f"{array}[{_plus(first, step)}]"
        return f"{array}[({_plus(first, step)}) * LANES + l]"

    def _array(self, first: int) -> tuple[str, int]:
        inputs = self._program.inputs
        return ("in", first) if first < inputs else ("m", first - inputs)

    def _pointer(self, first: int) -> str:
        array, first = self._array(first)
        return f"{array} + {first * self._lanes}" if first else array

    def dense(self, one: Dense) -> list[str]:
        """Write a layer, block after block of its outputs."""
        lines, start, place = list[str](), 0, 0
        inputs, outputs = one.weight.shape
        blocks = list[Numbers]()
        name = f"{self._name}_layer_{len(self.tables)}"
        if self._lanes == 1 and outputs <= NARROW and inputs >= PARTS:
            self.tables.append(_table(name, np.vstack([one.bias, one.weight]).T.reshape(-1)))
            x, y = self._pointer(one.x), self._pointer(one.out)
            return [f"    dots({name}, {x}, {y}, {inputs}, {outputs});"]
        while start < outputs:
            width = min(WIDTH if self._lanes == 1 else WIDTH_LANES, outputs - start)
            block = np.vstack([one.bias, one.weight])[:, start : start + width]
            self.widths.add(width)
            x, y = self._pointer(one.x), self._pointer(one.out + start)
            lines.append(f"    dense_{width}({_plus(name, place)}, {x}, {y}, {inputs});")
            blocks.append(block.reshape(-1))
            start, place = start + width, place + block.size
        self.tables.append(_table(name, np.concatenate(blocks)))
        return lines

    def call(self, one: Call) -> list[str]:
        """Write a call of a kernel."""
        more = "".join(f", {_number(value)}" for value in one.more)
        count = one.count if one.kernel == "normalise" else one.count * self._lanes
        x, y = self._pointer(one.x), self._pointer(one.out)
        return [f"    {one.kernel}({x}, {y}, {count}{more});"]

    def _results(self) -> list[str]:
        """Write the copies of what a program gives."""
        lines, place, ids = list[str](), 0, self._program.outputs
        while place < len(ids):
            rest = ids[place:]
            breaks = np.flatnonzero(np.diff(rest) != 1)
            count = int(breaks[0]) + 1 if len(breaks) else len(rest)
            size = f"{count * self._lanes} * sizeof(float)"
            if rest[0] < 0:
                raise BadInput("C99", "an output is a constant", expected="something worked out")
            lines.append(
                f"    memcpy(out + {place * self._lanes}, {self._pointer(int(rest[0]))}, {size});"
            )
            place += count
        return lines


_ALIGNED = {False: "", True: " __attribute__((aligned(64)))"}
_WRITE: dict[type, Any] = {Each: _Emitter.each, Dense: _Emitter.dense, Call: _Emitter.call}


def _plus(first: int | str, step: int | str) -> str:
    parts = [str(part) for part in (first, step) if part not in (0, "")]
    return " + ".join(parts) or "0"


def _number(value: float) -> str:
    text = f"{float(np.float32(value)):.9g}"
    return f"{text}f" if re.search(r"[.e]", text) else f"{text}.0f"


def _table(name: str, values: Any) -> str:
    spelled = [_number(value) for value in values]
    lines = [", ".join(spelled[i : i + 8]) for i in range(0, len(spelled), 8)]
    body = ",\n    ".join(lines)
    return f"static const float {name}[{len(spelled)}] = {{\n    {body}}};\n"
