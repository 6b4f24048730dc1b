"""Diagrams of networks: a policy from its ONNX file, a critic from its training run."""

import json
from collections.abc import Sequence
from pathlib import Path

import onnx

from kinemill.reports.network_graph import Block, Operation, blocks_of_operations, network

_WEIGHTED = ("Gemm", "MatMul", "Conv")
_FUNCTIONS = (
    "Tanh",
    "Sigmoid",
    "Relu",
    "Softmax",
    "Sin",
    "Cos",
    "Erf",
    "ArgMax",
    "Softplus",
    "Elu",
)


def blocks_of(model: onnx.ModelProto) -> list[Block]:
    """Return the inputs, learned matrices and outputs of a graph, with their connections."""
    graph = model.graph
    weights = {item.name: tuple(item.dims) for item in graph.initializer}
    weights |= {
        node.output[0]: tuple(item.t.dims)
        for node in graph.node
        if node.op_type == "Constant"
        for item in node.attribute
        if item.name == "value"
    }
    operations = (
        Operation(
            list(node.input),
            list(node.output),
            _matrix(node, weights),
            node.op_type.lower() if node.op_type in _FUNCTIONS else "",
        )
        for node in graph.node
    )
    inputs, outputs = (
        {item.name: _shape(item) for item in end} for end in (graph.input, graph.output)
    )
    return blocks_of_operations(inputs, operations, outputs)


def _matrix(node: onnx.NodeProto, weights: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    if node.op_type not in _WEIGHTED:
        return ()
    return next((weights[name] for name in node.input if len(weights.get(name, ())) > 1), ())


def _shape(item: onnx.ValueInfoProto) -> str:
    dims = item.type.tensor_type.shape.dim
    return " x ".join(str(dim.dim_value) if dim.dim_value else dim.dim_param for dim in dims)


def network_section(model: onnx.ModelProto) -> str:
    """Return the section with the diagram of a network as HTML."""
    return (
        "<h2>Network</h2><p>Inputs, every learned matrix with its size, and outputs. Small text "
        f"shows the functions between them.</p>{_panel(blocks_of(model))}"
    )


def critic_section(path: Path) -> str:
    """Return the section with the diagrams of the critics as HTML; empty if the file is missing."""
    if not path.is_file():
        return ""
    content = json.loads(path.read_text(encoding="utf-8"))
    blocks = [
        Block(block["name"], block["title"], block["below"], tuple(block["after"]))
        for block in content
    ]
    return (
        "<h2>Critic</h2><p>The value network of the training run, with the observation after the "
        f"wrappers of the policy. It is not part of the exported file.</p>{_panel(blocks)}"
    )


def _panel(blocks: Sequence[Block]) -> str:
    return f'<div class="panel" tabindex="0">{network(blocks)}</div>'
