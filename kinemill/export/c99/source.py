"""Translate step.onnx to the text of `step.c` and `step.h`.

Symbols: S states, A actions, C elements of the carry; all arrays are of one row.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import onnx
from onnx import numpy_helper

from kinemill.errors import BadInput
from kinemill.export._graph import OUTPUTS, needed_nodes
from kinemill.export.c99.codegen import functions
from kinemill.export.c99.operations import OPERATIONS
from kinemill.export.c99.program import Ids, Program, tidy
from kinemill.export.c99.values import Values
from kinemill.export.summary import C99Facts, LatencyPercentiles
from kinemill.runtime import Interface

BARE = "unguarded."
STACK = 1 << 20  # bytes of stack that a step may use; usual stacks of threads on a PC are larger
# The header can be included in C++ as well.
C_LINKAGE = '#ifdef __cplusplus\nextern "C" {\n#endif\n'
C_LINKAGE_END = "#ifdef __cplusplus\n}\n#endif"
ASCII = str.maketrans({"·": "*", "²": "^2", "³": "^3", "°": "deg", "µ": "u", "μ": "u", "Ω": "Ohm"})


@dataclass(frozen=True)
class Source:
    """A step in C99.

    Attributes:
        name: prefix of its functions.
        header: step.h.
        code: step.c.
        weights: bytes of constants.
        scratch: bytes of stack that a step needs.
        multiplications: multiply-adds of one step.
    """

    name: str
    header: str
    code: str
    weights: int
    scratch: int
    multiplications: int

    @classmethod
    def of(cls, core: Program, name: str, header: str, code: str) -> "Source":
        """Return the source whose sizes are those of its program."""
        sizes = 4 * core.numbers, 4 * core.elements, core.multiplications
        return cls(name, header, code, *sizes)

    def facts(self, difference: float, latency: LatencyPercentiles) -> C99Facts:
        """Return the facts of the summary, with what was measured of the compiled code."""
        return C99Facts(self.weights, self.scratch, self.multiplications, difference, latency)


@dataclass(frozen=True)
class Parts:
    """The programs of a step.

    Attributes:
        interface: channels, units and shapes.
        core: (state (S,), carry (C,), action (A,)) -> (next state (S,), next carry (C,)), units of
            the task.
        warm: (state, carry, action) -> next carry, without operations for the next state.
        outputs: (state, carry, action) -> channels that are predicted but not fed back (Y,); or
            None.
        guarded: whether NaN in an input gives NaN in every output.
    """

    interface: Interface
    core: Program
    warm: Program
    outputs: Program | None
    guarded: bool


def read(model: bytes) -> Parts:
    """Translate a step.onnx.

    Raises:
        BadInput: It holds an unsupported operation, needs too much stack, is not in float32, or was
            not exported by kinemill.
    """
    proto = onnx.load_from_string(model)
    properties = {item.key: item.value for item in proto.metadata_props}
    interface = Interface.from_metadata("step.onnx", properties)
    if interface.dtype != "float32":
        fix = "leave `export.precision` at float32, or run it with ONNX Runtime"
        raise BadInput("C99", f"the step is in {interface.dtype}", expected="float32", fix=fix)
    if interface.derived:
        raise BadInput(
            "C99",
            f"{', '.join(interface.derived)} is estimated from measurements in rollout.onnx alone",
            expected="a model whose states are all measured",
            fix="run it with ONNX Runtime",
        )
    graph = proto.graph
    bare = bare_prefix(graph, "next_state")
    after = [f"{bare}next_{item.name}" for item in interface.carry]
    inputs = _input_ids(interface)
    core = compile_graph(graph, [f"{bare}next_state", *after], inputs)
    require_stack(core)
    return Parts(
        interface,
        core,
        compile_graph(graph, after, inputs)
        if after
        else Program(sum(input_.size for input_ in inputs.values())),
        compile_graph(graph, [f"{bare}{OUTPUTS}"], inputs) if interface.outputs else None,
        bool(bare),
    )


def bare_prefix(graph: onnx.GraphProto, output: str) -> str:
    """Return the prefix of the outputs before the guard, or "" if the graph has no guard."""
    made = {name for node in graph.node for name in node.output}
    return BARE if f"{BARE}{output}" in made else ""


def require_stack(core: Program) -> None:
    """Check that the memory of a program fits on the stack of a thread.

    Raises:
        BadInput: It needs more than `STACK` bytes.
    """
    if 4 * core.elements > STACK:
        raise BadInput(
            "C99",
            f"a step needs {4 * core.elements} bytes of stack",
            expected=f"at most {STACK}",
            fix="run it with ONNX Runtime, or make `learn.model` or `learn.history` smaller",
        )


def compile_graph(graph: onnx.GraphProto, outputs: list[str], inputs: Mapping[str, Ids]) -> Program:
    """Return the program that computes `outputs` for one row.

    Args:
        graph: graph without subgraphs.
        outputs: names of its tensors.
        inputs: ids by input, from 0 on, without gaps, each with a leading batch of 1.

    Raises:
        BadInput: An operation is unsupported, or its sizes are computed at run time.
    """
    program = Program(sum(item.size for item in inputs.values()))
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
    values = Values(program, dict(inputs), constants)
    for node in needed_nodes(graph.node, set(outputs)):
        if values.fold(node):
            continue
        if node.op_type not in OPERATIONS or node.domain not in ("", "ai.onnx"):
            raise BadInput(
                "C99",
                f"the step holds {node.op_type}, which is not supported",
                expected=f"one of the operations {', '.join(sorted(OPERATIONS))}",
                fix="run it with ONNX Runtime",
            )
        OPERATIONS[node.op_type](values, node)
    program.outputs = _computed(program, [values.ids(name) for name in outputs])
    tidy(program)
    return program


def _computed(program: Program, outputs: list[Ids]) -> Ids:
    """Return the ids of all outputs; constants among them are copied into memory."""
    ids = np.concatenate([output.reshape(-1) for output in outputs])
    constant = ids < 0
    if constant.any():
        ids[constant] = program.elementwise("{0}", ids[constant])
    return ids


def _input_ids(interface: Interface) -> dict[str, Ids]:
    """Number the inputs: state, carry, action, so that outputs are the front of the next inputs."""
    shapes: dict[str, tuple[int, ...]] = {"state": (len(interface.states),)}
    shapes |= {item.name: item.shape for item in interface.carry}
    return number_inputs({**shapes, "action": (len(interface.actions),)})


def number_inputs(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Ids]:
    """Return ids by input, from 0 on in this order, each with a leading batch of 1."""
    inputs = dict[str, Ids]()
    start = 0
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        inputs[name] = np.arange(start, start + size).reshape(1, *shape)
        start += size
    return inputs


def sizes_of(interface: Interface) -> tuple[int, int, int]:
    """Return the number of elements of state, action and carry: S, A, C."""
    carried = sum(int(np.prod(item.shape)) for item in interface.carry)
    return len(interface.states), len(interface.actions), carried


def generate(model: bytes) -> Source:
    """Return portable C99 of a step.onnx, for one row.

    Raises:
        BadInput: As in `read`.
    """
    parts = read(model)
    name = identifier(parts.interface.task)
    return Source.of(parts.core, name, _header(parts, name), _code(parts, name))


def identifier(task: str) -> str:
    """Return the name of a task as a C identifier.

    Raises:
        BadInput: It is not a valid name of a task.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", task):
        raise BadInput("task", repr(task), expected="lower-case letters, digits and _")
    return task


def _header(parts: Parts, name: str) -> str:
    interface = parts.interface
    macro = f"{name.upper()}_STEP_H"
    states, actions, carry = sizes_of(interface)
    big = name.upper()
    lists = "".join(
        comment(f"{what}[{i}]: {channel}, {interface.units[channel]}")
        for what, names in interface.roles.items()
        for i, channel in enumerate(names)
    )
    return f"""\
/* One step of the model of {name}, made by kinemill {version("kinemill")} from step.onnx.
{lists} *
 * {4 * parts.core.numbers} bytes of constants, {4 * parts.core.elements} bytes of stack,
 * {parts.core.multiplications} multiplications per step; no allocation, no static state.
 */
#ifndef {macro}
#define {macro}

#define {big}_STATES {states}
#define {big}_ACTIONS {actions}
#define {big}_CARRY {carry}
#define {big}_HISTORY {interface.history} /* measured steps before a prediction */
#define {big}_DT {float(interface.dt)!r} /* s */

{C_LINKAGE}
/* Advance by one time step.
 * state: now; action: acts from now on; next_state: one step later, may be the array `state`;
 * carry: the memory of the model, all zeros before the first step, changed in place; angles are
 * within [-pi, pi]; a NaN or infinity in an input gives NaN in every output. */
void {name}_step(const float *state, const float *action, float *carry, float *next_state);
{_outputs_header(interface, name)}
{C_LINKAGE_END}
#endif
"""


def _outputs_header(interface: Interface, name: str) -> str:
    """Return the declaration of the function of the outputs, or ""."""
    if not interface.outputs:
        return ""
    return f"""
#define {name.upper()}_OUTPUTS {len(interface.outputs)}

/* Return the predicted channels that are not fed back, at `state` under `action`; `carry` is that
 * before a step, and is not changed. */
void {name}_outputs(const float *state, const float *action, const float *carry, float *output);
"""


def comment(line: str) -> str:
    """Return a line within a C comment; names from a model must not end it or begin another.

    Outside ASCII, a backslash (it joins lines) and `??` (it begins a trigraph) become `_`.
    """
    plain = re.sub(r"[^ -\[\]-~]|\?\?", "_", line.translate(ASCII))
    return f" * {plain.replace('*/', '* /').replace('/*', '/ *')}\n"


def _code(parts: Parts, name: str) -> str:
    states, actions, carry = sizes_of(parts.interface)
    total = states + carry + actions
    return f"""\
#include "step.h"

#include <math.h>
#include <string.h>

#define LANES 1

{functions({"core": parts.core, **({"outputs": parts.outputs} if parts.outputs else {})}, 1)}
void {name}_step(const float *state, const float *action, float *carry, float *next_state)
{{
    float in[{total}], out[{states + carry}], nothing = 0.0f;
    memcpy(in, state, {states} * sizeof(float));
{copied("in + " + str(states), "carry", carry)}\
{copied("in + " + str(states + carry), "action", actions)}\
    core(in, out);
{guard(total) if parts.guarded else ""}\
    for (int i = 0; i < {states}; ++i)
        next_state[i] = out[i] + nothing;
    for (int i = 0; i < {carry}; ++i)
        carry[i] = out[{states} + i] + nothing;
    (void)action, (void)carry;
}}
{_outputs_code(parts, name)}"""


def _outputs_code(parts: Parts, name: str) -> str:
    """Return the function of the outputs, or ""."""
    count = len(parts.interface.outputs)
    if not count:
        return ""
    states, actions, carry = sizes_of(parts.interface)
    total = states + carry + actions
    return f"""
void {name}_outputs(const float *state, const float *action, const float *carry, float *output)
{{
    float in[{total}], nothing = 0.0f;
    memcpy(in, state, {states} * sizeof(float));
{copied("in + " + str(states), "carry", carry)}\
{copied("in + " + str(states + carry), "action", actions)}\
    outputs(in, output);
{guard(total) if parts.guarded else ""}\
    for (int i = 0; i < {count}; ++i)
        output[i] += nothing;
    (void)action, (void)carry;
}}
"""


def copied(to: str, source: str, count: int) -> str:
    """Return the line that copies an array, or "" for an empty one."""
    return f"    memcpy({to}, {source}, {count} * sizeof(float));\n" if count else ""


def guard(total: int) -> str:
    """Return the loop that puts NaN into `nothing` if one of the inputs is not finite."""
    return f"    for (int i = 0; i < {total}; ++i)\n        nothing += 0.0f * in[i];\n"
