"""Translate policy.onnx to the text of `policy.c` and `policy.h`.

Symbols: D numbers observed, M choices of a mask, A actions, C elements of the carry; all arrays are
of one row.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import onnx

from kinemill.errors import BadInput
from kinemill.export.c99.codegen import functions, spelled
from kinemill.export.c99.program import Program
from kinemill.export.c99.source import (
    C_LINKAGE,
    C_LINKAGE_END,
    Source,
    bare_prefix,
    comment,
    compile_graph,
    copied,
    guard,
    identifier,
    number_inputs,
    require_stack,
)
from kinemill.runtime.policy_interface import ACTION, PolicyInterface
from kinemill.runtime.policy_layout import MASK, OBSERVATION


@dataclass(frozen=True)
class PolicyProgram:
    """The program of a policy.

    Attributes:
        interface: names, units, limits and shapes.
        sizes: number of elements of each input, in order, without the carry.
        carried: C.
        core: (inputs, carry (C,)) -> (action (A,), next carry (C,)), units of the task.
        guarded: whether NaN in an input gives NaN in every output.
        safe_action: safe value by action, in task units.
        servos: by action `kp`, `kv` and `limit` of the servo that it commands; or empty.
    """

    interface: PolicyInterface
    sizes: dict[str, int]
    carried: int
    core: Program
    guarded: bool
    safe_action: dict[str, float]
    servos: dict[str, dict[str, float | None]]


def read_policy(model: bytes) -> PolicyProgram:
    """Translate a policy.onnx.

    Raises:
        BadInput: It reads images, texts or random seeds, holds an unsupported operation, needs too
            much stack, or was not exported by kinemill.
    """
    proto = onnx.load_from_string(model)
    properties = {item.key: item.value for item in proto.metadata_props}
    interface = PolicyInterface.from_metadata("policy.onnx", properties)
    shapes = interface.shapes()
    if unsupported := [name for name in shapes if name not in (OBSERVATION, MASK)]:
        raise BadInput(
            "C99",
            f"the policy reads {', '.join(unsupported)}",
            expected="a policy of numbers that does not sample its actions",
            fix="run it with ONNX Runtime",
        )
    tensors = {name: shape for name, (shape, _) in shapes.items()}
    inputs = number_inputs(tensors | {item.name: item.shape for item in interface.carry})
    bare = bare_prefix(proto.graph, ACTION)
    outputs = [f"{bare}{ACTION}", *(f"{bare}next_{item.name}" for item in interface.carry)]
    core = compile_graph(proto.graph, outputs, inputs)
    require_stack(core)
    sizes = {name: inputs[name].size for name in shapes}
    safe, servos = (json.loads(properties.get(name, "{}")) for name in ("safe_action", "servos"))
    # The inputs of the graph are the observation, the mask and then the carry.
    carried = sum(input_.size for input_ in inputs.values()) - sum(sizes.values())
    return PolicyProgram(interface, sizes, carried, core, bool(bare), safe, servos)


def generate_policy(model: bytes) -> Source:
    """Return C99 of a policy.onnx: one function from the observation (D,) to the action (A,).

    It contains scaling, carry, squashing and limits.

    Raises:
        BadInput: As in `read_policy`.
    """
    program = read_policy(model)
    name = identifier(program.interface.task)
    return Source.of(program.core, name, _header(program, name), _code(program, name))


def _header(program: PolicyProgram, name: str) -> str:
    interface = program.interface
    core = program.core
    big = name.upper()
    layout = interface.layout
    lists = "".join(
        comment(f"{what}[{i}]: {channel}, {layout.units[channel]}{_range(interface, channel)}")
        for what, names in (("observation", layout.observation), ("action", layout.actions))
        for i, channel in enumerate(names)
    )
    masked = f"#define {big}_MASK {layout.mask}\n" if layout.mask else ""
    mask = " * mask: 1 for each choice that is allowed, else 0;\n" if layout.mask else ""
    return f"""\
/* The policy of {name}, made by kinemill {version("kinemill")} from policy.onnx.
{lists} *
 * {4 * core.numbers} bytes of constants, {4 * core.elements} bytes of stack,
 * {core.multiplications} multiplications per call; no allocation, no static state.
 */
#ifndef {big}_POLICY_H
#define {big}_POLICY_H

#include <float.h>

#define {big}_OBSERVATIONS {program.sizes.get(OBSERVATION, 0)}
{masked}#define {big}_ACTIONS {len(layout.actions)}
#define {big}_CARRY {program.carried}
#define {big}_DT {float(interface.dt)!r} /* s from one call to the next */
{_tables(program, big)}
{C_LINKAGE}
/* Return the action to send now and to hold for {big}_DT, within its limits.
{mask} * carry: the memory of the policy, all zeros at the start of an episode, changed in place;
 * choices are whole numbers from 0; a NaN or infinity in an input gives NaN in every output. */
void {name}_act({_parameters(program)});

{C_LINKAGE_END}
#endif
"""


def _tables(program: PolicyProgram, big: str) -> str:
    """Return initializers of arrays by action: the safe action, and the gains of its servos."""
    actions = program.interface.layout.actions
    servos = program.servos
    lines = list[str]()
    if program.safe_action:
        values = [program.safe_action[name] for name in actions]
        lines.append(_initializer(f"{big}_SAFE_ACTION", values, "if the policy cannot act"))
    rows = [servos[name] for name in actions] if servos else []
    for key, unit in _GAINS.items() if rows else ():
        lines.append(_initializer(f"{big}_{key.upper()}", [row[key] for row in rows], unit))
    return "".join(lines)


_GAINS = {"kp": "N m/rad, of the servos", "kv": "N m s/rad", "limit": "N m; FLT_MAX: not stated"}


def _initializer(name: str, values: Sequence[float | None], text: str) -> str:
    numbers = ", ".join("FLT_MAX" if value is None else spelled(value) for value in values)
    return f"#define {name} {{{numbers}}} /* {text} */\n"


def _range(interface: PolicyInterface, name: str) -> str:
    """Return the limits of a channel, for a comment."""
    if name not in interface.limits:
        return ""
    low, high = interface.limits[name]
    return f", {low:g} to {high:g}"


def _parameters(program: PolicyProgram) -> str:
    inputs = [f"const float *{name}" for name in program.sizes]
    return ", ".join([*inputs, "float *carry", "float *action"])


def _code(program: PolicyProgram, name: str) -> str:
    actions = len(program.interface.layout.actions)
    carry = program.carried
    inputs = ""
    start = 0
    for part, size in (*program.sizes.items(), ("carry", carry)):
        inputs += copied(f"in + {start}", part, size)
        start += size
    return f"""\
#include "policy.h"

#include <math.h>
#include <string.h>

#define LANES 1

{functions({"core": program.core}, 1)}
void {name}_act({_parameters(program)})
{{
    float in[{start}], out[{actions + carry}], nothing = 0.0f;
{inputs}\
    core(in, out);
{guard(start) if program.guarded else ""}\
    for (int i = 0; i < {actions}; ++i)
        action[i] = out[i] + nothing;
    for (int i = 0; i < {carry}; ++i)
        carry[i] = out[{actions} + i] + nothing;
    (void)carry;
}}
"""
