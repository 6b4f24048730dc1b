"""Rollout as an ONNX graph: two Scans around the nodes of the step, with shared weights outside.

The first Scan warms up the carry over the history, the second one feeds predictions back. Rollout
and step agree by construction, because both bodies are copies of the graph of the step.
"""

import copy
from collections.abc import Mapping

import onnx
from onnx import helper

from kinemill.export._graph import (
    DISAGREEMENT,
    ESTIMATED,
    OUTPUTS,
    Guard,
    disagreement,
    finished,
    integers,
    needed_nodes,
    scalar,
    shape_of,
    value,
)
from kinemill.export.interface import beliefs, uncertainty_carries
from kinemill.export.step import rename
from kinemill.runtime import Interface

_PAST = "late_actions"  # past actions of the rows that warm up the carry


def rollout_model(
    core: onnx.GraphProto,
    interface: Interface,
    version: str,
    metadata: Mapping[str, str] | None = None,
    estimator: onnx.GraphProto | None = None,
) -> onnx.ModelProto:
    """Return rollout.onnx: (B, H, S), (B, H-1, A), (B, T, A) -> (B, T, S), next_carry_i...

    With output channels it also returns `outputs` (B, T, Y), at the rows of `actions`.

    Args:
        core: graph of the step, see `trace`.
        interface: interface of the step.
        version: version of kinemill.
        metadata: metadata of the file; default: the interface.
        estimator: graph states -> estimated_states, if the model has derived states. The rollout
            starts from them, and returns them.
    """
    weights = {item.name: f"step.{item.name}" for item in core.initializer}
    nodes, constants = _predict(core, weights, interface, estimator)
    outputs = _outputs(interface, with_estimates=estimator is not None)
    guard = _guard(interface, outputs)
    nodes += guard.nodes
    states = len(interface.states)
    actions = len(interface.actions)
    history = interface.history
    if interface.belief:
        more, axis = disagreement(f"path_{interface.belief.offsets}", 2)
        nodes = [*nodes, *more]
        constants = [*constants, axis]
        outputs.append(value(DISAGREEMENT, "batch", "horizon", states))
    inputs = [
        value("states", "batch", history, states),
        value("past_actions", "batch", history - 1, actions),
        value("actions", "batch", "horizon", actions),
    ]
    initializers = [*_renamed(core, weights), *constants, *guard.constants]
    graph = helper.make_graph(nodes, "rollout", inputs, outputs, initializers)
    return finished(graph, metadata or interface.to_metadata(), version)


def _predict(
    core: onnx.GraphProto,
    weights: dict[str, str],
    interface: Interface,
    estimator: onnx.GraphProto | None,
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return nodes and constants from the inputs to the outputs before the NaN guard."""
    nodes, constants = _estimate(estimator)
    prepare, more, carry = _start(interface)
    nodes = [*nodes, *prepare]
    constants = [*constants, *more]
    driver = "actions"
    if not interface.actions:
        driver, ticking, numbers = _clock()
        nodes = [*nodes, *ticking]
        constants = [*constants, *numbers]
    # With a single known row, or without a carry, there is nothing to warm up.
    if interface.history - interface.surplus > 1 and carry:
        past = [_PAST if interface.surplus else "past_actions"] if interface.actions else []
        nodes.append(_warm_up(core, weights, [*carry, "known", *past], beliefs(interface)))
        carry = [f"warm_{item.name}" for item in interface.carry]
    paths = uncertainty_carries(interface)
    nodes.append(_horizon(core, weights, ["present", *carry, driver], paths))
    return nodes, constants


def _outputs(interface: Interface, *, with_estimates: bool) -> list[onnx.ValueInfoProto]:
    """Return the outputs that the NaN guard protects."""
    states = len(interface.states)
    outputs = len(interface.outputs)
    history = interface.history
    paths = uncertainty_carries(interface)
    return [
        value("next_states", "batch", "horizon", states),
        *([value(ESTIMATED, "batch", history, states)] if with_estimates else []),
        *([value(OUTPUTS, "batch", "horizon", outputs)] if outputs else []),
        *(value(f"next_{item.name}", "batch", *item.shape) for item in interface.carry),
        *(
            value(f"path_{item.name}", "batch", "horizon", *item.shape)
            for item in interface.carry
            if item.name in paths
        ),
    ]


def _guard(interface: Interface, outputs: list[onnx.ValueInfoProto]) -> Guard:
    """Return the guard that makes an output row NaN where a row of an input is not finite."""
    guard = Guard()
    actions = len(interface.actions)
    past = actions * (interface.history - 1)
    widths = {"states": len(interface.states), "past_actions": past, "actions": actions}
    guard.watch([name for name, width in widths.items() if width])
    for item in outputs:
        guard.protect(f"unguarded.{item.name}", item.name, len(shape_of(item)))
    return guard


def _start(interface: Interface) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], list[str]]:
    """Return nodes for the current state, the earlier states and a carry of zeros."""
    # Rows before `surplus` serve the estimate of derived states only.
    first = interface.surplus
    last = interface.history - 1
    states = f"unguarded.{ESTIMATED}" if interface.derived else "states"
    nodes = [helper.make_node("Gather", [states, "last"], ["present"], axis=1)]
    constants = [integers("last", last)]
    if last > first and interface.carry:
        nodes.append(helper.make_node("Slice", [states, "first", "end", "time"], ["known"]))
        constants += [integers("first", [first]), integers("end", [last]), integers("time", [1])]
        if first and interface.actions:
            late = ["past_actions", "first", "end", "time"]
            nodes.append(helper.make_node("Slice", late, [_PAST]))
    names: list[str] = []
    if interface.carry:
        # The batch size is known only at run time, so the zeros are expanded there.
        nodes.append(helper.make_node("Shape", ["states"], ["batch_size"], start=0, end=1))
        constants.append(scalar("zero", 0.0))
    for item in interface.carry:
        size = f"size_{item.name}"
        shape = f"shape_{item.name}"
        name = f"zero_{item.name}"
        constants.append(integers(size, list(item.shape)))
        nodes.append(helper.make_node("Concat", ["batch_size", size], [shape], axis=0))
        nodes.append(helper.make_node("Expand", ["zero", shape], [name]))
        names.append(name)
    return nodes, constants, names


def _estimate(
    estimator: onnx.GraphProto | None,
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return nodes and constants that estimate derived states; none without an estimator."""
    if estimator is None:
        return [], []
    produced = {name for node in estimator.node for name in node.output}
    names = {name: f"estimate.{name}" for name in produced if name}
    names[ESTIMATED] = f"unguarded.{ESTIMATED}"
    weights = {item.name: f"estimate.{item.name}" for item in estimator.initializer}
    nodes = [copy.deepcopy(node) for node in estimator.node]
    for node in nodes:
        rename(node, names | weights)
        node.name = f"estimate/{node.name}"
    return nodes, _renamed(estimator, weights)


def _clock() -> tuple[str, list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return nodes for zeros (B, T, 1), which drive the Scan of a system without actions.

    Its actions are (B, T, 0), and ONNX Runtime aborts the process at a Scan over width 0.
    """
    nodes = [
        helper.make_node("Shape", ["actions"], ["clock.steps"], start=0, end=2),
        helper.make_node("Concat", ["clock.steps", "clock.width"], ["clock.shape"], axis=0),
        helper.make_node("Expand", ["clock.zero", "clock.shape"], ["clock"]),
    ]
    return "clock", nodes, [integers("clock.width", [1]), scalar("clock.zero", 0.0)]


def _warm_up(
    core: onnx.GraphProto, weights: dict[str, str], inputs: list[str], idle: int
) -> onnx.NodeProto:
    """Return the Scan over the history; it does not update the last `idle` carries."""
    state, action, *carried = list(core.input)
    _, *after = list(core.output)
    rows = [state, action] if inputs[-1] in ("past_actions", _PAST) else [state]
    updated = len(carried) - idle
    body = _body(core, weights, "warm", [*carried, *rows], after[:updated])
    # A Scan must return all of its state, so the carries that stay are copied.
    for item in carried[updated:]:
        copied = f"warm.kept.{item.name}"
        body.node.append(helper.make_node("Identity", [f"warm.{item.name}"], [copied]))
        body.output.append(value(copied, *shape_of(item)))
    return helper.make_node(
        "Scan",
        inputs,
        [f"warm_{item.name}" for item in carried],
        name="warm_up",
        num_scan_inputs=len(rows),
        scan_input_axes=[1] * len(rows),
        body=body,
    )


def _horizon(
    core: onnx.GraphProto, weights: dict[str, str], inputs: list[str], paths: tuple[str, ...]
) -> onnx.NodeProto:
    state, action, *carried = list(core.input)
    following, *results = list(core.output)
    after = results[: len(carried)]
    outputs = results[len(carried) :]
    driver = action if inputs[-1] == "actions" else value("action", "batch", 1)
    body = _body(core, weights, "roll", [state, *carried, driver], [following, *results])
    # A Scan needs separate outputs for the same value fed back and stacked over time.
    stacked = {item.name: f"unguarded.{item.name}" for item in outputs}
    stacked |= {following.name: "unguarded.next_states"}
    stacked |= {f"next_{name}": f"unguarded.path_{name}" for name in paths}
    for item in (following, *(item for item in after if item.name in stacked)):
        reached = f"roll.reached.{item.name}"
        body.node.append(helper.make_node("Identity", [f"roll.{item.name}"], [reached]))
        body.output.append(value(reached, *shape_of(item)))
    return helper.make_node(
        "Scan",
        inputs,
        ["final_state", *(f"unguarded.{item.name}" for item in after), *stacked.values()],
        name="horizon",
        num_scan_inputs=1,
        scan_input_axes=[1],
        scan_output_axes=[1] * len(stacked),
        body=body,
    )


def _body(
    core: onnx.GraphProto,
    weights: dict[str, str],
    prefix: str,
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
) -> onnx.GraphProto:
    """Return a copy of the nodes that `outputs` need; weights stay in the outer graph."""
    # Only the needed nodes: the carry of a history window does not depend on the network.
    nodes = needed_nodes(core.node, {item.name for item in outputs})
    local_names = {name for node in nodes for name in node.output}
    local_names |= {item.name for item in core.input}
    names = weights | {name: f"{prefix}.{name}" for name in local_names if name}
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


def _renamed(core: onnx.GraphProto, names: dict[str, str]) -> list[onnx.TensorProto]:
    tensors: list[onnx.TensorProto] = []
    for item in core.initializer:
        tensor = onnx.TensorProto()
        tensor.CopyFrom(item)
        tensor.name = names[item.name]
        tensors.append(tensor)
    return tensors
