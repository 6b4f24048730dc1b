"""Parts of ONNX graphs: values, constants, and the NaN guard."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# onnxruntime 1.20, the oldest that pyproject.toml allows, reads at most opset 21 and IR 10.
OPSET = 20
IR_VERSION = 10

# Names of tensors.
DISAGREEMENT = "disagreement"
OUTPUTS = "outputs"
ESTIMATED = "estimated_states"

Dim = str | int | None


def value(name: str, *shape: Dim) -> onnx.ValueInfoProto:
    """Describe a float32 tensor."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def shape_of(info: onnx.ValueInfoProto) -> list[Dim]:
    """Return the declared shape; symbolic sizes are names."""
    dims = info.type.tensor_type.shape.dim
    return [dim.dim_param or dim.dim_value for dim in dims]


def integers(name: str, values: int | list[int]) -> onnx.TensorProto:
    """Make an int64 constant, () of a number or (n,) of a list."""
    return numpy_helper.from_array(np.asarray(values, dtype=np.int64), name)


def scalar(name: str, number: float) -> onnx.TensorProto:
    """Make a float32 constant of shape ()."""
    return numpy_helper.from_array(np.asarray(number, dtype=np.float32), name)


class Guard:
    """NaN guard: add 0·Σ(inputs of a row) to every output of that row.

    The sum is 0 for finite inputs and NaN for a NaN or infinity anywhere in the row. Without it,
    whether a network propagates NaN depends on its operations and on the runtime.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants = [scalar("guard.zero", 0.0), integers("guard.columns", [1])]

    def watch(self, names: list[str]) -> None:
        """Sum 0 times the inputs `names`, each (B, ...), to (B, 1)."""
        flat = [f"guard.flat.{name}" for name in names]
        for name, out in zip(names, flat, strict=True):
            self._node("Flatten", [name], out, axis=1)
        self._node("Concat", flat, "guard.row", axis=1)
        self._node("Mul", ["guard.row", "guard.zero"], "guard.nothing")
        self._node("ReduceSum", ["guard.nothing", "guard.columns"], "guard.sum", keepdims=1)

    def protect(self, name: str, out: str, rank: int) -> None:
        """Add the sum to output `name` (B, ...) of `rank` axes."""
        addend = "guard.sum"
        last = integers("guard.last", [2])
        if rank > 2 and last not in self.constants:  # ONNX Runtime warns about unused ones
            self.constants.append(last)
        # Without more axes, (B, 1) would align its batch with the second last axis.
        for axes in range(3, rank + 1):
            wider = f"guard.sum.{out}.{axes}"
            self._node("Unsqueeze", [addend, "guard.last"], wider)
            addend = wider
        self._node("Add", [name, addend], out)

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        node = helper.make_node(kind, inputs, [output], name=f"guard/{output}", **attributes)
        self.nodes.append(node)


def disagreement(offsets: str, axis: int) -> tuple[list[onnx.NodeProto], onnx.TensorProto]:
    """Return nodes and a constant for the disagreement of an ensemble.

    It is sqrt(mean of squared offsets) over the members: (B, ..., E, S) -> (B, ..., S).

    Args:
        offsets: tensor with the states of the members minus the prediction, members along `axis`.
        axis: the axis to reduce.
    """
    nodes = [
        helper.make_node("Mul", [offsets, offsets], ["members.squared"], name="members/squared"),
        helper.make_node(
            "ReduceMean",
            ["members.squared", "members.axis"],
            ["members.mean"],
            name="members/mean",
            keepdims=0,
        ),
        helper.make_node("Sqrt", ["members.mean"], [DISAGREEMENT], name="members/root"),
    ]
    return nodes, integers("members.axis", [axis])


def needed_nodes(nodes: Sequence[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """Return the nodes that `outputs` depend on, in order."""
    # Nodes of ONNX are in topological order, so one pass from the end finds all of them.
    names = set(outputs)
    result = list[onnx.NodeProto]()
    for node in reversed(nodes):
        if names & set(node.output):
            result.append(node)
            names |= set(node.input)
    return result[::-1]


def widen(graph: onnx.GraphProto) -> None:
    """Convert a graph and its subgraphs from float32 to float64: tensors, constants, casts."""
    for item in (*graph.input, *graph.output, *graph.value_info):
        if item.type.tensor_type.elem_type == TensorProto.FLOAT:
            item.type.tensor_type.elem_type = TensorProto.DOUBLE
    for tensor in graph.initializer:
        _widen_tensor(tensor)
    for node in graph.node:
        for item in node.attribute:
            _widen_tensor(item.t)
            if node.op_type == "Cast" and item.name == "to" and item.i == TensorProto.FLOAT:
                item.i = TensorProto.DOUBLE
            for inner in (*item.graphs, *([item.g] if item.HasField("g") else [])):
                widen(inner)


def _widen_tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT:
        values = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def finished(
    graph: onnx.GraphProto, properties: Mapping[str, str], version: str
) -> onnx.ModelProto:
    """Return a checked model of a graph with metadata, in the precision of the metadata.

    Raises:
        onnx.checker.ValidationError: The graph is not valid.
    """
    # Graphs are built in float32 and widened here as a whole, so that no builder needs a dtype.
    if properties.get("dtype") == '"float64"':
        widen(graph)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="kinemill",
        producer_version=version,
    )
    helper.set_model_props(model, dict(properties))
    onnx.checker.check_model(model, full_check=True)
    return model
