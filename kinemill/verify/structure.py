"""Contents of an ONNX file, read without running it.

No other file is opened: tensors in external files are detected from their declarations.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import AttributeProto, TensorProto

from kinemill.errors import BadInput
from kinemill.runtime import Interface
from kinemill.verify.check_results import Structure
from kinemill.verify.checklist import Gate, gate

NEWEST_OPSET = 21
NEWEST_IR = 10  # limits of onnxruntime 1.20, the oldest supported version
MOST_BYTES = 2**31 - 1  # size limit of a protobuf file
STANDARD_DOMAINS = ("", "ai.onnx")
RANDOM = (
    *("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike"),
    *("RandomUniform", "RandomUniformLike"),
)

_KINDS = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}

Shape = list[int | str]


def graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and all graphs inside its nodes."""
    yield graph
    for node in graph.node:
        for item in node.attribute:
            for inner in (*item.graphs, *([item.g] if item.type == AttributeProto.GRAPH else [])):
                yield from graphs(inner)


def structure(path: Path, model: onnx.ModelProto) -> Structure:
    """Return the contents of the file `path`, which was read as `model`."""
    subgraphs = list(graphs(model.graph))
    kinds = Counter(_kind(node) for part in subgraphs for node in part.node)
    return Structure(
        file=path.name,
        bytes=path.stat().st_size,
        opset=next(
            (
                imported.version
                for imported in model.opset_import
                if imported.domain in STANDARD_DOMAINS
            ),
            0,
        ),
        ir=model.ir_version,
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        operators=dict(sorted(kinds.items())),
        parameters=sum(_count(tensor) for tensor in _tensors(model)),
    )


def sound(path: Path, model: onnx.ModelProto) -> list[Gate]:
    """Check that a file is valid and complete, with standard operators and a supported version."""
    name = path.name
    summary = structure(path, model)
    return [
        gate(f"{name} is valid", _invalid(model), "passes the ONNX checker with shape inference"),
        gate(
            f"{name} is complete",
            _outside(path, model),
            "all weights inside, below 2 GB",
            f"{summary.parameters} numbers in {summary.bytes / 1e3:.0f} kB",
        ),
        gate(
            f"{name} operators",
            _unsupported_operators(model),
            "standard ONNX operators without random numbers",
            f"{sum(summary.operators.values())} of {len(summary.operators)} kinds",
        ),
        gate(
            f"{name} versions",
            _versions(model),
            f"opset at most {NEWEST_OPSET}, IR at most {NEWEST_IR}",
            f"opset {summary.opset}, IR {summary.ir}",
        ),
    ]


def examine(path: Path, model: onnx.ModelProto) -> list[Gate]:
    """Check a file like `sound`, and compare its tensors with its metadata."""
    name = path.name
    gates = sound(path, model)
    try:
        interface = read_interface(path, model)
    except BadInput as error:
        return [*gates, Gate(f"{name} metadata", False, str(error), "kinemill metadata")]
    expected = f"{interface.dtype}, shapes as in the metadata, batch and horizon free"
    return [*gates, gate(f"{name} interface", _unlike_metadata(model.graph, interface), expected)]


def read_interface(path: Path, model: onnx.ModelProto) -> Interface:
    """Read the metadata of a file.

    Raises:
        BadInput: The file is not from kinemill.
    """
    properties = {item.key: item.value for item in model.metadata_props}
    return Interface.from_metadata(path, properties)


def _invalid(model: onnx.ModelProto) -> list[str]:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        return [str(error).strip().splitlines()[0]]
    return []


def _tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """Yield every tensor of a model, including those of attributes and functions."""
    functions = [node for function in model.functions for node in function.node]
    for part in graphs(model.graph):
        yield from part.initializer
        for sparse in part.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    nodes = [*functions, *(node for part in graphs(model.graph) for node in part.node)]
    for item in (item for node in nodes for item in node.attribute):
        yield from (*item.tensors, *([item.t] if item.type == AttributeProto.TENSOR else []))


def _count(tensor: TensorProto) -> int:
    count = 1
    for size in tensor.dims:
        count *= size
    return count


def _outside(path: Path, model: onnx.ModelProto) -> list[str]:
    faults = [
        f"{tensor.name or 'a constant'} is in another file"
        for tensor in _tensors(model)
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data
    ]
    size = path.stat().st_size
    return [*faults, *([f"{size / 1e9:.1f} GB"] if size > MOST_BYTES else [])]


def _kind(node: onnx.NodeProto) -> str:
    return node.op_type if node.domain in STANDARD_DOMAINS else f"{node.domain}.{node.op_type}"


def _unsupported_operators(model: onnx.ModelProto) -> list[str]:
    nodes = [node for part in graphs(model.graph) for node in part.node]
    nodes += [node for function in model.functions for node in function.node]
    kinds = {_kind(node) for node in nodes if node.domain not in STANDARD_DOMAINS}
    faults = [f"{kind} is not a standard ONNX operator" for kind in sorted(kinds)]
    faults += [f"function {function.domain}.{function.name}" for function in model.functions]
    drawn = sorted({node.op_type for node in nodes if node.op_type in RANDOM})
    return [*faults, *(f"{kind} draws random numbers" for kind in drawn), *_training(nodes)]


def _training(nodes: list[onnx.NodeProto]) -> list[str]:
    """Return the operators in training mode, such as dropout and batch normalization."""
    faults: set[str] = set()
    for node in nodes:
        # Batch normalization has an attribute, dropout a third input for the training mode.
        mode = any(item.name == "training_mode" and item.i for item in node.attribute)
        drops = node.op_type == "Dropout" and len(node.input) > 2 and bool(node.input[2])
        if mode or drops:
            faults.add(f"{node.op_type} is in training mode")
    return sorted(faults)


def _versions(model: onnx.ModelProto) -> list[str]:
    faults = [
        f"opset {imported.version} of {imported.domain or 'ONNX'}"
        for imported in model.opset_import
        if imported.domain in STANDARD_DOMAINS and not 1 <= imported.version <= NEWEST_OPSET
    ]
    if not any(imported.domain in STANDARD_DOMAINS for imported in model.opset_import):
        faults.append("no opset")
    return [*faults, *([] if model.ir_version <= NEWEST_IR else [f"IR {model.ir_version}"])]


def _unlike_metadata(graph: onnx.GraphProto, interface: Interface) -> list[str]:
    """Return the inputs and outputs that differ from the metadata."""
    step = "state" in {item.name for item in graph.input}
    inputs, outputs = (_step if step else _rollout)(interface)
    faults: list[str] = []
    if [item.name for item in graph.input] != list(inputs):
        names = ", ".join(item.name for item in graph.input)
        faults.append(f"inputs are {names}, not {', '.join(inputs)}")
    declared = {item.name: item for item in (*graph.input, *graph.output)}
    for name, expected in {**inputs, **outputs}.items():
        if name not in declared:
            faults.append(f"no {name}")
            continue
        kind = declared[name].type.tensor_type
        if kind.elem_type != _KINDS[interface.dtype]:
            faults.append(f"{name} holds {TensorProto.DataType.Name(kind.elem_type).lower()}")
        shape: Shape = [dim.dim_param or dim.dim_value for dim in kind.shape.dim]
        if not _fits(shape, expected):
            faults.append(f"{name} is {shape}, not {expected}")
    return faults


def _fits(shape: Shape, expected: Shape) -> bool:
    """Return whether all sizes match and all named dimensions are free."""
    return len(shape) == len(expected) and all(
        isinstance(mine, str) if isinstance(size, str) else mine == size
        for mine, size in zip(shape, expected, strict=True)
    )


def _step(interface: Interface) -> tuple[dict[str, Shape], dict[str, Shape]]:
    states = len(interface.states)
    actions = len(interface.actions)
    carry: dict[str, Shape] = {item.name: ["batch", *item.shape] for item in interface.carry}
    after = {f"next_{name}": shape for name, shape in carry.items()}
    inputs: dict[str, Shape] = {"state": ["batch", states], "action": ["batch", actions]}
    outputs: dict[str, Shape] = {"next_state": ["batch", states], **after}
    if interface.outputs:
        outputs["outputs"] = ["batch", len(interface.outputs)]
    return {**inputs, **carry}, outputs


def _rollout(interface: Interface) -> tuple[dict[str, Shape], dict[str, Shape]]:
    states = len(interface.states)
    actions = len(interface.actions)
    history = interface.history
    inputs: dict[str, Shape] = {
        "states": ["batch", history, states],
        "past_actions": ["batch", history - 1, actions],
        "actions": ["batch", "horizon", actions],
    }
    after: dict[str, Shape] = {
        f"next_{item.name}": ["batch", *item.shape] for item in interface.carry
    }
    outputs: dict[str, Shape] = {"next_states": ["batch", "horizon", states], **after}
    if interface.derived:
        outputs["estimated_states"] = ["batch", history, states]
    if interface.outputs:
        outputs["outputs"] = ["batch", "horizon", len(interface.outputs)]
    return inputs, outputs
