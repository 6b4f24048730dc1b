"""The rollout as an ONNX graph: two Scans around the step's own nodes, weights held once outside.

The first warms the carry up over the known history, the second feeds predictions back. Rollout
equals step by construction, because both bodies are copies of the step's graph.
"""

import copy

import onnx
from onnx import helper

from kinemill.export._graph import Guard, finished, integers, scalar, shape_of, value
from kinemill.export.step import rename
from kinemill.runtime import Interface


def rollout_model(core: onnx.GraphProto, interface: Interface, version: str) -> onnx.ModelProto:
    """Return rollout.onnx: (states, past_actions, actions) -> (next_states, next_carry_i...).

    Args:
        core: graph of the step, see `trace`.
        interface: what goes in and comes out.
        version: of kinemill.
    """
    states, actions = len(interface.states), len(interface.actions)
    history = interface.history
    weights = {item.name: f"step.{item.name}" for item in core.initializer}
    prepare, constants, carry = _start(interface)
    nodes = list(prepare)
    if history > 1 and carry:
        nodes.append(_warm_up(core, weights, carry))
        carry = [f"warm_{item.name}" for item in interface.carry]
    nodes.append(_horizon(core, weights, carry))
    guard = Guard()
    past = ["past_actions"] if history > 1 else []
    guard.watch(["states", *past, "actions"])
    outputs = [
        value("next_states", "batch", "horizon", states),
        *(value(f"next_{item.name}", "batch", *item.shape) for item in interface.carry),
    ]
    for item in outputs:
        guard.protect(f"unguarded.{item.name}", item.name, len(shape_of(item)))
    graph = helper.make_graph(
        [*nodes, *guard.nodes],
        "rollout",
        [
            value("states", "batch", history, states),
            value("past_actions", "batch", history - 1, actions),
            value("actions", "batch", "horizon", actions),
        ],
        outputs,
        [*_renamed(core, weights), *constants, *guard.constants],
    )
    return finished(graph, interface.to_metadata(), version)


def _start(
    interface: Interface,
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], list[str]]:
    """Make the nodes for the present state, the states before it, and a carry of zeros."""
    last = interface.history - 1
    nodes = [helper.make_node("Gather", ["states", "last"], ["present"], axis=1)]
    constants = [integers("last", last)]
    if last and interface.carry:
        nodes.append(helper.make_node("Slice", ["states", "first", "end", "time"], ["known"]))
        constants += [integers("first", [0]), integers("end", [last]), integers("time", [1])]
    names: list[str] = []
    if interface.carry:
        nodes.append(helper.make_node("Shape", ["states"], ["batch_size"], start=0, end=1))
        constants.append(scalar("zero", 0.0))
    for item in interface.carry:
        size, shape, name = f"size_{item.name}", f"shape_{item.name}", f"zero_{item.name}"
        constants.append(integers(size, list(item.shape)))
        nodes.append(helper.make_node("Concat", ["batch_size", size], [shape], axis=0))
        nodes.append(helper.make_node("Expand", ["zero", shape], [name]))
        names.append(name)
    return nodes, constants, names


def _warm_up(core: onnx.GraphProto, weights: dict[str, str], carry: list[str]) -> onnx.NodeProto:
    state, action, *carried = list(core.input)
    _, *after = list(core.output)
    body = _body(core, weights, "warm", [*carried, state, action], after)
    return helper.make_node(
        "Scan",
        [*carry, "known", "past_actions"],
        [f"warm_{item.name}" for item in carried],
        name="warm_up",
        num_scan_inputs=2,
        scan_input_axes=[1, 1],
        body=body,
    )


def _horizon(core: onnx.GraphProto, weights: dict[str, str], carry: list[str]) -> onnx.NodeProto:
    state, action, *carried = list(core.input)
    following, *after = list(core.output)
    body = _body(core, weights, "roll", [state, *carried, action], [following, *after])
    # What a Scan feeds back and what it stacks up are different outputs, of the same value.
    reached = helper.make_node("Identity", ["roll.next_state"], ["roll.reached"])
    body.node.append(reached)
    body.output.append(value("roll.reached", *shape_of(following)))
    return helper.make_node(
        "Scan",
        ["present", *carry, "actions"],
        ["final_state", *(f"unguarded.{item.name}" for item in after), "unguarded.next_states"],
        name="horizon",
        num_scan_inputs=1,
        scan_input_axes=[1],
        scan_output_axes=[1],
        body=body,
    )


def _body(
    core: onnx.GraphProto,
    weights: dict[str, str],
    prefix: str,
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
) -> onnx.GraphProto:
    """Copy the nodes of the step that `outputs` need; weights stay in the outer graph."""
    nodes = _needed(core, {item.name for item in outputs})
    own = {name for node in nodes for name in node.output}
    own |= {item.name for item in core.input}
    names = weights | {name: f"{prefix}.{name}" for name in own if name}
    copies = [copy.deepcopy(node) for node in nodes]
    for node in copies:
        rename(node, names)
        node.name = f"{prefix}/{node.name}"
    return helper.make_graph(
        copies,
        prefix,
        [value(names[item.name], *shape_of(item)) for item in inputs],
        [value(names[item.name], *shape_of(item)) for item in outputs],
    )


def _needed(core: onnx.GraphProto, wanted: set[str]) -> list[onnx.NodeProto]:
    """Return the nodes that lead to `wanted`, in order: a window warms up without its network."""
    wanted, kept = set(wanted), list[onnx.NodeProto]()
    for node in reversed(core.node):
        if wanted & set(node.output):
            kept.append(node)
            wanted |= set(node.input)
    return kept[::-1]


def _renamed(core: onnx.GraphProto, weights: dict[str, str]) -> list[onnx.TensorProto]:
    tensors: list[onnx.TensorProto] = []
    for item in core.initializer:
        tensor = onnx.TensorProto()
        tensor.CopyFrom(item)
        tensor.name = weights[item.name]
        tensors.append(tensor)
    return tensors
