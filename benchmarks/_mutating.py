"""Faults of exported files, each planted alone into a sound export.

A fault is planted before the hashes are written, like a bug of an exporter. Each fault lists the
words that the verifier must report: a line of its verdict, or a part of the error that stops it.
"""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from benchmarks._exports import Export
from kinemill.verify.structure import graphs

Plant = Callable[[Export], None]
FAULTS: dict[str, tuple[Plant, tuple[str, ...]]] = {}
PARITY = ("step parity", "rollout parity")


def fault(title: str, *names: str):
    """Register a fault with the words that name it."""

    def register(plant: Plant) -> Plant:
        FAULTS[title] = (plant, names)
        return plant

    return register


def edited(title: str, *names: str, files: tuple[str, ...] = ()):
    """Register a fault that edits the graphs of a sound export, by default of both files."""

    def register(edit: Callable[[onnx.ModelProto], None]) -> Callable[[onnx.ModelProto], None]:
        @fault(title, *names)
        def _(export: Export) -> None:
            export.write()
            export.edit(edit, *files)

        return edit

    return register


def declared(title: str, *names: str, **fields: Callable[[Any], Any]) -> None:
    """Register a fault of fields in the metadata; each is changed from the sound value."""

    @fault(title, *names)
    def _(export: Export) -> None:
        export.write()
        sound = export.interface
        export.declare(**{key: change(getattr(sound, key)) for key, change in fields.items()})


def _changed(export: Export, change: Callable[[Any], None]) -> None:
    """Export a copy of the trained step that was changed in torch."""
    step = copy.deepcopy(export.step)
    with torch.no_grad():
        change(step)
    export.write(step)


def _weights(export: Export, ending: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change the constants whose names end so, in both files."""
    matches: list[onnx.TensorProto] = []

    def edit(model: onnx.ModelProto) -> None:
        tensors = [item for item in model.graph.initializer if item.name.endswith(ending)]
        matches.extend(tensors)
        for item in tensors:
            value = change(numpy_helper.to_array(item).copy())
            item.CopyFrom(numpy_helper.from_array(value, item.name))

    export.write()
    export.edit(edit)
    assert matches, f"no constant is called {ending}"


def _behind(
    model: onnx.ModelProto, kind: str, *made: Callable[[str, str], list[Any]], which: int = 0
) -> None:
    """Put nodes behind the first node of a kind, in every graph that computes a step."""
    for graph in graphs(model.graph):
        nodes = [
            node
            for node in graph.node
            if node.op_type == kind and not node.name.startswith("guard/")
        ]
        if not nodes:
            continue
        node = nodes[which]
        name = node.output[0]
        first = list(graph.node).index(node)
        node.output[0] = f"{name}.before"
        new = [node for make in made for node in make(f"{name}.before", name)]
        rest = list(graph.node)[first + 1 :]
        del graph.node[first + 1 :]
        graph.node.extend([*new, *rest])


def _constant(model: onnx.ModelProto, name: str, value: Any) -> None:
    array = np.asarray(value)
    array = array.astype(np.float32) if array.dtype.kind == "f" else array
    model.graph.initializer.append(numpy_helper.from_array(array, name))


def _behind_state(model: onnx.ModelProto, kind: str, constant: Any, other: str = "") -> None:
    """Put an operation with a constant behind the last sum, the next state before its angle."""
    _constant(model, "planted", constant)
    inputs = ["planted", *([other] if other else [])]
    _behind(model, "Add", lambda a, b: [helper.make_node(kind, [a, *inputs], [b])], which=-1)


@edited("dropout left in training mode", "training mode")
def _(model: onnx.ModelProto) -> None:
    _constant(model, "ratio", 0.1)
    _constant(model, "training", np.array(True))
    _behind(
        model, "Tanh", lambda a, b: [helper.make_node("Dropout", [a, "ratio", "training"], [b])]
    )


@fault("output channels swapped", *PARITY)
def _(export: Export) -> None:
    _weights(export, "head.weight", lambda w: w[:, ::-1])


@fault("input channels swapped", *PARITY)
def _(export: Export) -> None:
    _weights(export, "layers.0.weight", lambda w: w[:, ::-1])


@edited("next state in degrees", *PARITY)
def _(model: onnx.ModelProto) -> None:
    _behind_state(model, "Mul", [180 / math.pi, 180 / math.pi])


declared(
    "wrong unit in the metadata",
    "metadata: differs in units",
    units=lambda sound: {**sound, "angle": "deg"},
)


@fault("inputs not scaled", *PARITY)
def _(export: Export) -> None:
    def change(step: Any) -> None:
        step.feature_mean.zero_()
        step.feature_std.fill_(1.0)

    _changed(export, change)


@fault("outputs not scaled", *PARITY)
def _(export: Export) -> None:
    _changed(export, lambda step: step.output_std.fill_(1.0))


@fault("normalized with statistics of another dataset version", *PARITY)
def _(export: Export) -> None:
    _changed(export, lambda step: step.feature_std.mul_(1.02))


@fault("history off by one", "rollout parity")
def _(export: Export) -> None:
    _weights(export, "last", lambda value: value - 1 if value.ndim == 0 else value)


declared(
    "wrong history length in the metadata", "metadata", "interface", history=lambda sound: sound + 1
)


@edited("warm-up over the history omitted", "rollout parity", files=("rollout.onnx",))
def _(model: onnx.ModelProto) -> None:
    scan = next(node for node in model.graph.node if node.name == "horizon")
    scan.input[1] = "zero_carry_0"


@edited("actions in reverse order", "rollout parity", files=("rollout.onnx",))
def _(model: onnx.ModelProto) -> None:
    scan = next(node for node in model.graph.node if node.name == "horizon")
    scan.attribute.append(helper.make_attribute("scan_input_directions", [1]))


@edited("batch frozen at one", "step.onnx interface", files=("step.onnx",))
def _(model: onnx.ModelProto) -> None:
    _freeze(model, "batch", 1)


@edited("horizon frozen", "rollout.onnx interface", files=("rollout.onnx",))
def _(model: onnx.ModelProto) -> None:
    _freeze(model, "horizon", 10)


def _freeze(model: onnx.ModelProto, name: str, size: int) -> None:
    for item in (*model.graph.input, *model.graph.output):
        for dim in item.type.tensor_type.shape.dim:
            if dim.dim_param == name:
                dim.dim_value = size


@fault("one weight with its sign flipped", *PARITY)
def _(export: Export) -> None:
    def flip(weights: np.ndarray) -> np.ndarray:
        weights[1, 3] *= -1
        return weights

    _weights(export, "head.weight", flip)


@fault("a bias omitted", *PARITY)
def _(export: Export) -> None:
    _weights(export, "head.bias", np.zeros_like)


@edited("wrong activation", *PARITY)
def _(model: onnx.ModelProto) -> None:
    for graph in graphs(model.graph):
        for node in graph.node:
            node.op_type = "Softsign" if node.op_type == "Tanh" else node.op_type


@fault("weights in half precision", *PARITY)
def _(export: Export) -> None:
    _weights(export, "weight", lambda w: w.astype(np.float16).astype(np.float32))


@fault("weights in 8 bits", *PARITY)
def _(export: Export) -> None:
    def rounded(weights: np.ndarray) -> np.ndarray:
        step = np.abs(weights).max() / 127
        return (np.round(weights / step) * step).astype(np.float32)

    _weights(export, "weight", rounded)


@edited("half precision that overflows", "finite", *PARITY)
def _(model: onnx.ModelProto) -> None:
    _constant(model, "large", 6e4)

    def nodes(a: str, b: str) -> list[Any]:
        names = [f"{b}.{index}" for index in range(3)]
        return [
            helper.make_node("Mul", [a, "large"], [names[0]]),
            helper.make_node("Cast", [names[0]], [names[1]], to=TensorProto.FLOAT16),
            helper.make_node("Cast", [names[1]], [names[2]], to=TensorProto.FLOAT),
            helper.make_node("Div", [names[2], "large"], [b]),
        ]

    _behind(model, "Add", nodes)


@fault("integrated over a wrong time step", *PARITY)
def _(export: Export) -> None:
    _changed(export, lambda step: step.gain.mul_(0.5))


declared("wrong time step in the metadata", "metadata: differs in dt", dt=lambda _: 0.01)


@fault("NaN among the weights", "finite")
def _(export: Export) -> None:
    def spoil(weights: np.ndarray) -> np.ndarray:
        weights[0, 0] = np.nan
        return weights

    _weights(export, "head.weight", spoil)


@edited("NaN swallowed", "NaN stays in its row")
def _(model: onnx.ModelProto) -> None:
    _constant(model, "guard.none", [[0.0]])
    _constant(model, "guard.none.wide", [[[0.0]]])
    for node in model.graph.node:
        if node.op_type == "Add" and node.name.startswith("guard/"):
            node.input[1] = (
                "guard.none.wide" if "Unsqueeze" in _maker(model, node.input[1]) else "guard.none"
            )


def _maker(model: onnx.ModelProto, name: str) -> str:
    return next((node.op_type for node in model.graph.node if name in node.output), "")


@edited("batch rows mixed", *PARITY)
def _(model: onnx.ModelProto) -> None:
    _constant(model, "rows", np.array([0]))
    _constant(model, "little", 1e-2)

    def nodes(a: str, b: str) -> list[Any]:
        names = [f"{b}.{index}" for index in range(2)]
        return [
            helper.make_node("ReduceMean", [a, "rows"], [names[0]], keepdims=1),
            helper.make_node("Mul", [names[0], "little"], [names[1]]),
            helper.make_node("Add", [a, names[1]], [b]),
        ]

    _behind(model, "Add", nodes)


@fault("weights in an external file", "stores weights in another file")
def _(export: Export) -> None:
    export.write()
    model, apart = onnx.load(export.folder / "rollout.onnx"), export.folder / "apart.onnx"
    onnx.save(model, apart, save_as_external_data=True, location="weights.bin", size_threshold=0)
    export.replace("rollout.onnx", apart.read_bytes())
    apart.unlink()


@edited("an operator of a custom library", "uses operators of 'com.acme'", files=("step.onnx",))
def _(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.acme", 1))
    next(node for node in model.graph.node if node.op_type == "Concat").domain = "com.acme"


@edited("opset too new for the oldest runtime", "versions")
def _(model: onnx.ModelProto) -> None:
    model.opset_import[0].version, model.ir_version = 22, 11


@fault("angles not wrapped to ±π", "angles within ±π")
def _(export: Export) -> None:
    _changed(export, lambda step: step.period.zero_())


declared("states swapped in the metadata", "metadata: differs in", states=lambda sound: sound[::-1])


declared(
    "limits of another robot in the metadata",
    "metadata: differs in limits",
    limits=lambda sound: {**sound, "torque": (-60.0, 60.0)},
)


declared(
    "wrong dataset in the metadata", "metadata: differs in dataset", dataset=lambda _: "e" * 64
)


@fault("rollout of another training", "rollout parity")
def _(export: Export) -> None:
    export.write()
    step_bytes = (export.folder / "step.onnx").read_bytes()
    _changed(export, lambda step: next(step.network.parameters()).mul_(1.01))
    export.replace("step.onnx", step_bytes)


@edited("clipped to the range of the training data", *PARITY)
def _(model: onnx.ModelProto) -> None:
    _constant(model, "highest", 4.0)
    _behind_state(model, "Clip", -4.0, "highest")


@edited("a drift below the tolerance of one step", "long rollout parity")
def _(model: onnx.ModelProto) -> None:
    _behind_state(model, "Add", [0.0, 5e-6])


@edited("noise drawn in the graph", "draws random numbers")
def _(model: onnx.ModelProto) -> None:
    def nodes(a: str, b: str) -> list[Any]:
        noise = helper.make_node("RandomNormalLike", [a], [f"{b}.noise"], scale=1e-9)
        return [noise, helper.make_node("Add", [a, f"{b}.noise"], [b])]

    _behind(model, "Add", nodes)
