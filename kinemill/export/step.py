"""The step as an ONNX graph: traced by torch, without the exporter's annotations.

Symbols: B batch, R rows of history, S states, A actions.
"""

import copy
import functools
import importlib
import importlib.util
import logging
import warnings
from collections.abc import Mapping
from typing import Any

import onnx
import torch
from onnx import helper, inliner
from torch import Tensor, nn

from kinemill.errors import BadInput
from kinemill.export._graph import (
    DISAGREEMENT,
    ESTIMATED,
    OPSET,
    OUTPUTS,
    Guard,
    disagreement,
    finished,
    shape_of,
    value,
    widen,
)
from kinemill.models.networks.own import export_error, user_networks
from kinemill.runtime import Carry, Interface
from kinemill.train.build import step_of
from kinemill.train.ensemble import Ensemble
from kinemill.train.step import Step

Values = list[onnx.ValueInfoProto]
TrainedStep = Step | Ensemble


class WithoutEmptyCarry(nn.Module):
    """Step without carry tensors of size 0, which a Scan cannot hold.

    A model with history 1 carries an empty window, which this module creates itself.
    """

    def __init__(self, step: TrainedStep) -> None:
        super().__init__()
        self.step = step
        self.carry_shapes: list[tuple[int, ...]] = [
            tuple(shape) for shape in step.carry_shapes if 0 not in shape
        ]

    def forward(self, state: Tensor, action: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Advance one time step: (B, S), (B, A), carry -> (B, S), carry, outputs if any."""
        parts = iter(carry)
        shapes = [tuple(shape) for shape in self.step.carry_shapes]
        whole = [
            state.new_zeros(state.shape[0], *shape) if 0 in shape else next(parts)
            for shape in shapes
        ]
        count = 1 if self.step.layout.output_channels else 0  # tensors of outputs
        advance = self.step.advance if count else self.step
        next_state, *rest = advance(state, action, *whole)
        outputs = rest[:count]
        after = rest[count:]
        non_empty = [part for part, shape in zip(after, shapes, strict=True) if 0 not in shape]
        return next_state, *non_empty, *outputs


def carries(step: TrainedStep) -> tuple[Carry, ...]:
    """Return the names and shapes of the carry of `step`, without empty tensors.

    Raises:
        BadInput: The initial carry is not zero, which the runtime requires.
    """
    if any(bool(part.any()) for part in step.initial_carry(1)):
        raise BadInput("initial carry", "is not zero", expected="a carry that starts as zeros")
    shapes = WithoutEmptyCarry(step).carry_shapes
    return tuple(Carry(f"carry_{index}", shape) for index, shape in enumerate(shapes))


def trace(step: TrainedStep, interface: Interface) -> onnx.GraphProto:
    """Return the graph of a step for any batch size, with `outputs` if the interface has any.

    state (B, S), action (B, A), carry_i... -> next_state (B, S), next_carry_i..., outputs (B, Y).
    """
    # `apart`: torch.export cannot trace the vmap of an ensemble.
    whole = step.apart() if isinstance(step, Ensemble) else copy.deepcopy(step)
    dtype = getattr(torch, interface.dtype)
    module = WithoutEmptyCarry(whole.cpu().to(dtype)).eval()
    batch = torch.export.Dim("batch")
    sizes = [(len(interface.states),), (len(interface.actions),)]
    sizes += [item.shape for item in interface.carry]
    names = [item.name for item in interface.carry]
    carried = [tuple({0: batch} for _ in names)] if names else []
    # A batch of 2: torch.export treats a size of 1 as constant.
    example = tuple(torch.zeros(2, *size, dtype=dtype) for size in sizes)
    program = export_any(
        module,
        example,
        dynamic_shapes=({0: batch}, {0: batch}, *carried),
        input_names=["state", "action", *names],
        output_names=["next_state", *(f"next_{name}" for name in names), *_outputs(interface)],
    )
    carry = [(item.name, item.shape) for item in interface.carry]
    inputs = [value("state", "batch", len(interface.states))]
    inputs += [value("action", "batch", len(interface.actions))]
    outputs = [value("next_state", "batch", len(interface.states))]
    core = cleaned(
        program.model_proto,
        inputs + [value(name, "batch", *shape) for name, shape in carry],
        outputs
        + [value(f"next_{name}", "batch", *shape) for name, shape in carry]
        + [value(name, "batch", len(interface.outputs)) for name in _outputs(interface)],
    )
    if interface.dtype == "float64":
        widen(core)
    return core


def trace_estimator(step: TrainedStep, interface: Interface) -> onnx.GraphProto | None:
    """Return the graph states (B, R, S) -> estimated_states (B, R, S); None if all are measured."""
    estimator = step_of(step).estimator
    if estimator is None:
        return None
    dtype = getattr(torch, interface.dtype)
    names = ("states", ESTIMATED)
    shape = interface.history, len(interface.states)
    program = export_any(
        copy.deepcopy(estimator).cpu().to(dtype).eval(),
        (torch.zeros(2, *shape, dtype=dtype),),
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        input_names=[names[0]],
        output_names=[names[1]],
    )
    values = [value(name, "batch", *shape) for name in names]
    graph = cleaned(program.model_proto, values[:1], values[1:])
    if interface.dtype == "float64":
        widen(graph)
    return graph


def _outputs(interface: Interface) -> list[str]:
    """Return the name of the tensor of output channels; none without such channels."""
    return [OUTPUTS] if interface.outputs else []


def export_any(module: nn.Module, example: tuple[Tensor, ...], **named: Any) -> Any:
    """Export a module with torch to one file, without warnings.

    `example` is a batch of 2; `named` are further arguments of `torch.onnx.export`.

    Raises:
        BadInput: User-defined code cannot be exported; the message names its file and operator.
    """
    _read_operators_once()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # about torchvision and the name of the batch axis
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        try:
            return torch.onnx.export(
                module,
                example,
                dynamo=True,
                external_data=False,
                opset_version=OPSET,
                verbose=False,
                **named,
            )
        except Exception as error:
            if networks := user_networks(module):
                raise export_error(error, networks[0].where) from error
            raise


@functools.cache
def _read_operators_once() -> None:
    """Cache torch's registry of its 500 ONNX operators for the process.

    Otherwise every export parses their sources, half of the time of a small network. No export here
    changes the registry: that takes a `custom_translation_table`. The name is private: a release of
    torch without it makes exports slower, not wrong.
    """
    name = "torch.onnx._internal.exporter._registration"
    if importlib.util.find_spec(name):
        registry = importlib.import_module(name).ONNXRegistry
        registry.from_torchlib = staticmethod(functools.cache(registry.from_torchlib))


def cleaned(model: onnx.ModelProto, inputs: Values, outputs: Values) -> onnx.GraphProto:
    """Inline functions; drop stack traces, which contain local paths, and inferred shapes."""
    graph = inliner.inline_local_functions(model).graph
    del graph.value_info[:]
    del graph.metadata_props[:]
    graph.doc_string = ""
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del graph.input[:], graph.output[:]
    graph.input.extend(inputs)
    graph.output.extend(outputs)
    return graph


def step_model(
    core: onnx.GraphProto,
    interface: Interface,
    version: str,
    metadata: Mapping[str, str] | None = None,
) -> onnx.ModelProto:
    """Return step.onnx: the traced graph with a NaN guard and metadata."""
    checked = [item.name for item in core.input if 0 not in shape_of(item)]
    nodes, constants = guarded(core, checked)
    outputs = list(core.output)
    if interface.belief:
        more, axis = disagreement(f"next_{interface.belief.offsets}", 1)
        nodes = [*nodes, *more]
        constants = [*constants, axis]
        outputs.append(value(DISAGREEMENT, "batch", len(interface.states)))
    graph = helper.make_graph(nodes, "step", list(core.input), outputs, constants)
    return finished(graph, metadata or interface.to_metadata(), version)


def guarded(
    core: onnx.GraphProto, checked: list[str]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return nodes and constants of a graph whose outputs are NaN if an input has a NaN.

    Rows are independent: a NaN in row b of an input (B, ...) affects row b of the outputs only.
    `checked` names its float32 inputs that are not empty.
    """
    guard = Guard()
    guard.watch(checked)
    nodes = [copy.deepcopy(node) for node in core.node]
    bare = {item.name: f"unguarded.{item.name}" for item in core.output}
    for node in nodes:
        rename(node, bare)
    for item in core.output:
        guard.protect(bare[item.name], item.name, len(shape_of(item)))
    return [*nodes, *guard.nodes], [*core.initializer, *guard.constants]


def rename(node: onnx.NodeProto, names: dict[str, str]) -> None:
    """Rename inputs and outputs of `node` in place.

    Raises:
        BadInput: The node holds a subgraph.
    """
    if any(attribute.HasField("g") for attribute in node.attribute):
        raise BadInput(node.name, "holds a subgraph", expected="a step of plain operations")
    for index, name in enumerate(node.input):
        node.input[index] = names.get(name, name)
    for index, name in enumerate(node.output):
        node.output[index] = names.get(name, name)
