"""Graph of a network from its ONNX file: inputs, weight matrices, outputs."""

from collections.abc import Iterable

import onnx

from kinemill.reports.network_graph import Block, network

_WEIGHTED = ("Gemm", "MatMul", "Conv")
_BENDS = ("Tanh", "Sigmoid", "Relu", "Softmax", "Sin", "Cos", "Erf", "ArgMax", "Softplus", "Elu")


def blocks_of(model: onnx.ModelProto) -> list[Block]:
    """Return inputs, learned matrices and outputs of a graph, and what takes from what.

    Functions between two of them are listed at the later one.
    """
    graph = model.graph
    weights = {item.name: tuple(item.dims) for item in graph.initializer}
    weights |= {
        node.output[0]: tuple(item.t.dims)
        for node in graph.node
        if node.op_type == "Constant"
        for item in node.attribute
        if item.name == "value"
    }
    blocks = [Block(item.name, item.name, _shape(item)) for item in graph.input]
    sources = {item.name: {item.name: None} for item in graph.input}  # of a value: boxes, in order
    bends = {item.name: dict[str, None]() for item in graph.input}
    for node in graph.node:
        sources_of_node = _joined(sources, node.input)
        passed = _joined(bends, node.input)
        matrix = next((weights[name] for name in node.input if len(weights.get(name, ())) > 1), ())
        if node.op_type in _WEIGHTED and matrix and sources_of_node:
            own = node.output[0]
            title, below = " x ".join(map(str, matrix)), ", ".join(passed)
            blocks.append(Block(own, title, below, _nearest(blocks, sources_of_node)))
            sources_of_node, passed = {own: None}, {}
        elif node.op_type in _BENDS:
            passed = {**passed, node.op_type.lower(): None}
        for name in node.output:
            sources[name], bends[name] = sources_of_node, passed
    for item in graph.output:
        text = ", ".join([*bends.get(item.name, {}), _shape(item)])
        nearest = _nearest(blocks, sources[item.name])
        blocks.append(Block(f"out {item.name}", item.name, text, nearest))
    return blocks


def _nearest(blocks: list[Block], candidates: dict[str, None]) -> tuple[str, ...]:
    """Return those boxes that are not seen through another one of them anyway."""
    above: dict[str, set[str]] = {}
    for block in blocks:
        above[block.name] = {*block.after, *(one for name in block.after for one in above[name])}
    through = {one for name in candidates for one in above[name]}
    return tuple(name for name in candidates if name not in through)


def _joined(of: dict[str, dict[str, None]], names: Iterable[str]) -> dict[str, None]:
    return {one: None for name in names for one in of.get(name, {})}


def _shape(item: onnx.ValueInfoProto) -> str:
    dims = item.type.tensor_type.shape.dim
    return " x ".join(str(one.dim_value) if one.dim_value else one.dim_param for one in dims)


def network_section(model: onnx.ModelProto) -> str:
    """Return the section of a report that shows the network."""
    return (
        "<h2>The network</h2><p>What goes in, every learned matrix with its size, and what comes "
        "out; small, the functions on the way there.</p>"
        f'<div class="panel">{network(blocks_of(model))}</div>'
    )
