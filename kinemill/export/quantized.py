"""Quantization: variants whose network layers compute in half precision or 8 bits.

Integration and scaling stay in float32: half precision distinguishes 58 rad/s from 58.03 at best,
which is more than a network adds in one step. The error of a variant is measured on training
windows and compared with the original; a variant with a larger loss than allowed is not published.
"""

import logging
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from kinemill.dataset import PackedDataset
from kinemill.errors import BadInput
from kinemill.export._graph import IR_VERSION, OPSET
from kinemill.export.cases import training_windows
from kinemill.runtime import Interface, Simulator
from kinemill.runtime.window_metrics import QUIETLY, Windows, deviations, nonzero_std

LAYERS = ("Gemm", "MatMul")
CALIBRATION = 256
HORIZON = 25  # windows, steps

Core = onnx.GraphProto


def half(core: Core) -> Core:
    """Return a step whose layers compute in half precision.

    Raises:
        BadInput: A weight exceeds the range of half precision.
    """
    graph = onnx.GraphProto()
    made = list[onnx.NodeProto]()
    graph.CopyFrom(core)
    weights = {item.name: item for item in graph.initializer}
    halves = dict[str, TensorProto]()
    for node in graph.node:
        if not _is_layer(node, weights):
            made.append(node)
            continue
        inputs = [f"{node.input[0]}.half", *(f"{name}.half" for name in node.input[1:])]
        # Layers that read the same tensor share its cast.
        if not any(inputs[0] in producer.output for producer in made):
            made.append(_cast(node.input[0], inputs[0], TensorProto.FLOAT16))
        for name in node.input[1:]:
            value = numpy_helper.to_array(weights[name])
            if np.abs(value).max(initial=0.0) > np.finfo(np.float16).max:
                raise BadInput("fp16", f"{name} is too large for half precision")
            halves[name] = numpy_helper.from_array(value.astype(np.float16), f"{name}.half")
        out = node.output[0]
        node.input[:], node.output[:] = inputs, [f"{out}.half"]
        made += [node, _cast(f"{out}.half", out, TensorProto.FLOAT)]
    return _with_nodes(graph, made, list(halves.values()))


def _cast(source: str, out: str, kind: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [out], name=f"cast/{out}", to=kind)


def eight_bits(core: Core, interface: Interface, simulator: Simulator, windows: Windows) -> Core:
    """Return a step whose layers multiply 8-bit integers, calibrated on windows.

    Raises:
        BadInput: The step has no layer to quantize.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    graph = _with_nodes(core, list(core.node), [])
    weights = {item.name for item in graph.initializer}
    for index, node in enumerate(graph.node):
        node.name = f"node_{index}"  # the quantizer selects nodes by name
    layers = [node.name for node in graph.node if _is_layer(node, weights)]
    if not layers:
        raise BadInput("int8", "the step has no layer to quantize")

    class Reader(CalibrationDataReader):
        """Batches for the quantizer."""

        def __init__(self) -> None:
            self._batches = _batches(interface, simulator, windows)

        def get_next(self) -> Any:
            return next(self._batches, None)

    opset = [helper.make_opsetid("", OPSET)]
    with tempfile.TemporaryDirectory(prefix="kinemill-int8-") as folder:
        source = Path(folder) / "before.onnx"
        target = Path(folder) / "after.onnx"
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION), source)
        with _quiet():
            quantize_static(
                source,
                target,
                Reader(),
                nodes_to_quantize=layers,
                weight_type=QuantType.QInt8,
                activation_type=QuantType.QUInt8,
                per_channel=False,
                reduce_range=True,  # processors without VNNI saturate otherwise
            )
        quantized = onnx.load(target).graph
    for item in (*quantized.node, *quantized.initializer):
        item.doc_string = ""
    del quantized.value_info[:]
    return quantized


@contextmanager
def _quiet() -> Generator[None]:
    """Suppress the warning of the quantizer about constant folding, which was done before."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _batches(
    interface: Interface, simulator: Simulator, windows: Windows
) -> Iterator[dict[str, NDArray[np.generic]]]:
    """Yield inputs of a step: measured states and actions, and the carry after them."""
    states = windows.states.astype(np.float32)
    past = windows.past_actions.astype(np.float32)
    carry = simulator.warm_up(states, past)
    state = simulator.estimate(states)[:, -1]
    names = [item.name for item in interface.carry]
    for k in range(windows.actions.shape[1]):
        action = windows.actions[:, k].astype(np.float32)
        yield {"state": state, "action": action, **dict(zip(names, carry, strict=True))}
        _, *carry = simulator.step(state, action, *carry)
        # Measured states, not predictions: the ranges must be those of real data.
        state = windows.truth[:, k].astype(np.float32)


def _is_layer(node: onnx.NodeProto, weights: Any) -> bool:
    """Return whether a node is a layer of the network, not a scaling."""
    has_constants = all(name in weights for name in node.input[1:])
    return node.op_type in LAYERS and has_constants and "network." in node.input[1]


def _with_nodes(graph: Core, nodes: list[onnx.NodeProto], more: list[TensorProto]) -> Core:
    """Return a graph with these nodes and constants, without unused constants."""
    used = {name for node in nodes for name in node.input}
    constants = [item for item in (*graph.initializer, *more) if item.name in used]
    return helper.make_graph(nodes, graph.name, list(graph.input), list(graph.output), constants)


@dataclass(frozen=True)
class Loss:
    """Loss of accuracy of a variant.

    Attributes:
        error: nRMSE of its rollouts on training windows.
        original: nRMSE of the float32 model on the same windows.
        allowed: the largest allowed `error`.
        why: another fault, or "".
    """

    error: float
    original: float
    allowed: float
    why: str = ""

    @property
    def passed(self) -> bool:
        """Whether the variant may be published; a NaN error fails."""
        return not self.why and self.error <= self.allowed


def loss_of(variant: Simulator, original: Simulator, windows: Windows, most: float) -> Loss:
    """Measure the nRMSE of a variant and of the original on windows (W, T, S).

    `most` is the allowed relative increase of the error.
    """
    errors = [_nrmse(simulator, windows) for simulator in (variant, original)]
    return Loss(errors[0], errors[1], (1.0 + most) * errors[1], _fault(variant, windows))


@QUIETLY
def _nrmse(simulator: Simulator, windows: Windows) -> float:
    angle = simulator.interface.is_angle
    off = deviations(simulator, windows, angle)
    # The same divisor for variant and original: only the ratio of their errors counts.
    std = nonzero_std(windows.truth.std(axis=(0, 1)))
    return float((np.sqrt(np.square(off).mean(axis=(0, 1))) / std).mean())


def _fault(variant: Simulator, windows: Windows) -> str:
    """Return a fault of a variant, or "": not finite, step unlike rollout, NaN in other rows."""
    parts = (windows.states, windows.past_actions, windows.actions)
    states, past, actions = (part[:7].astype(np.float32) for part in parts)
    predicted = variant.rollout(states, past, actions)
    if not np.isfinite(predicted).all():
        return "returns values that are not finite"
    state = variant.estimate(states)[:, -1]
    carry = variant.warm_up(states, past)
    for k in range(actions.shape[1]):
        state, *carry = variant.step(state, actions[:, k], *carry)
        # Equal bits are expected, because step and rollout run the same nodes.
        if not np.array_equal(state, predicted[:, k]):
            return f"its step and its rollout differ after {k + 1} steps"
    states[0, 0, 0] = np.nan
    with_nan = variant.rollout(states, past, actions)
    if not (np.isnan(with_nan[0]).all() and np.isfinite(with_nan[1:]).all()):
        return "a NaN does not stay in its row"
    return ""


def windows_of(rows: PackedDataset | None, history: int) -> Windows:
    """Return the windows for calibration and measurement of variants.

    Raises:
        BadInput: All training episodes are too short, or there is no dataset.
    """
    windows = training_windows(rows, history, HORIZON, CALIBRATION) if rows else None
    if windows is None:
        short = f"no training episode has {history + HORIZON} rows"
        what = short if rows else "there is no dataset"
        raise BadInput("export.also", what, expected="windows for calibration and measurement")
    return windows
