"""Policy export: `policy.onnx`, from observations to actions, for any batch.

The file contains scaling, memory, action queue, sampling from the seed, limits and metadata.
"""

import copy
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper

from kinemill.errors import BadInput, Blocked
from kinemill.export._graph import OPSET, finished, value
from kinemill.export.bundle import write_interface
from kinemill.export.c99.parity import write_policy_c99
from kinemill.export.interface import LIBRARIES
from kinemill.export.io_document import ChannelSpec, FileSpec, IoDocument, TensorSpec
from kinemill.export.policy_cases import Cases, make_cases
from kinemill.export.step import cleaned, export_any, guarded
from kinemill.export.summary import ExportSummary
from kinemill.runtime import Policy, PolicyInterface, load
from kinemill.runtime.integrity import POLICY
from kinemill.runtime.interface import safe_action
from kinemill.runtime.policy_interface import ACTION
from kinemill.runtime.policy_layout import OBSERVATION
from kinemill.runtime.self_test import CASES
from kinemill.task.export import Export
from kinemill.train.policy import PolicyModule
from kinemill.train.policy_runner import Bare, interface_of

_TYPES = {"float32": TensorProto.FLOAT, "uint8": TensorProto.UINT8, "int64": TensorProto.INT64}
_GROSS = 1000.0  # times the tolerance: a larger difference means a wrong export


def describe(module: PolicyModule, task: str, dataset: str) -> PolicyInterface:
    """Return the interface of a policy, with the versions of the exporting libraries."""
    return interface_of(module, task, dataset, {name: version(name) for name in LIBRARIES})


def write_policy(
    module: PolicyModule,
    interface: PolicyInterface,
    folder: Path,
    settings: Export | None = None,
    lineage: Mapping[str, str] | None = None,
    more: Mapping[str, object] | None = None,
) -> ExportSummary:
    """Write the files of a policy into `folder`, compare them with it, and return the summary.

    Args:
        module: the policy.
        interface: its names, order, units and limits.
        folder: an empty folder.
        settings: the `export` part of the task.
        lineage: digests of the inputs of the policy.
        more: further metadata, as JSON: the `servos` of its actions.

    Raises:
        Blocked: The exported policy returns NaN, or differs from the trained one.
        BadInput: `safe_action` names no action, or the policy cannot be translated to C.
    """
    settings = settings or Export()
    _check_safe_action(interface, settings)
    safe = safe_action(interface.layout.actions, interface.limits, settings.safe_action)
    sources = {"dataset": interface.dataset, **(lineage or {})}
    metadata = _metadata(interface, safe, sources, more or {})
    graph = trace(module, interface)
    model = policy_model(graph, interface, metadata).SerializeToString(deterministic=True)
    (folder / POLICY).write_bytes(model)
    cases = make_cases(module, interface)
    _compare(load(folder / POLICY, non_finite="pass"), cases)
    np.savez_compressed(folder / CASES, allow_pickle=False, **cases.arrays())
    c99 = write_policy_c99(folder, model) if settings.c99 else None
    write_interface(folder, io_document(interface, safe, metadata))
    return ExportSummary(
        observation=list(interface.layout.observation),
        actions=list(interface.layout.actions),
        inputs=list(interface.layout.inputs),
        carry=[[item.name, *item.shape] for item in interface.carry],
        opset=OPSET,
        bytes={POLICY: (folder / POLICY).stat().st_size},
        c99=c99,
    )


def _check_safe_action(interface: PolicyInterface, settings: Export) -> None:
    """Check that declared safe values are of actions of the policy, within their limits."""
    actions = interface.layout.actions
    for name, declared in settings.safe_action.items():
        low, high = interface.limits.get(name, (-np.inf, np.inf))
        if name not in actions or not low <= declared <= high:
            expected = f"one of {', '.join(actions)}, within its limits"
            raise BadInput(f"export.safe_action: {name}", f"is {declared:g}", expected=expected)


def _metadata(
    interface: PolicyInterface,
    safe: Mapping[str, float],
    lineage: Mapping[str, str],
    more: Mapping[str, object],
) -> dict[str, str]:
    parts = {"safe_action": safe, "lineage": lineage, "precision": "fp32", **more}
    return interface.to_metadata() | {name: json.dumps(part) for name, part in parts.items()}


def trace(module: PolicyModule, interface: PolicyInterface) -> onnx.GraphProto:
    """Return the graph (inputs, carry_i...) -> (action, next_carry_i...), any batch."""
    bare = Bare(copy.deepcopy(module).cpu().float()).eval()  # the caller's module keeps its device
    shapes = interface.shapes()
    kinds = {name: getattr(torch, kind) for name, (_, kind) in shapes.items()}
    # A batch of 2: torch.export treats a size of 1 as constant.
    example = [torch.zeros(2, *shapes[name][0], dtype=kinds[name]) for name in shapes]
    example += [torch.zeros(2, *item.shape) for item in interface.carry]
    carry = [item.name for item in interface.carry]
    batch = torch.export.Dim("batch")
    program = export_any(
        bare,
        tuple(example),
        dynamic_shapes=(tuple({0: batch} for _ in example),),
        input_names=[*shapes, *carry],
        output_names=[ACTION, *(f"next_{name}" for name in carry)],
    )
    inputs = [
        helper.make_tensor_value_info(name, _TYPES[kind], ["batch", *shape])
        for name, (shape, kind) in shapes.items()
    ]
    inputs += [value(item.name, "batch", *item.shape) for item in interface.carry]
    outputs = [value(ACTION, "batch", len(interface.layout.actions))]
    outputs += [value(f"next_{item.name}", "batch", *item.shape) for item in interface.carry]
    return cleaned(program.model_proto, inputs, outputs)


def policy_model(
    graph: onnx.GraphProto, interface: PolicyInterface, metadata: Mapping[str, str]
) -> onnx.ModelProto:
    """Return policy.onnx: the traced graph with a NaN guard and metadata."""
    numbers = [name for name, (_, kind) in interface.shapes().items() if kind == "float32"]
    numbers += [item.name for item in interface.carry]
    nodes = list(graph.node)
    constants = list(graph.initializer)
    if numbers:  # images, texts and seeds are integers, which are never NaN
        nodes, constants = guarded(graph, numbers)
    whole = helper.make_graph(nodes, "policy", list(graph.input), list(graph.output), constants)
    return finished(whole, metadata, interface.versions["kinemill"])


def _compare(policy: Policy, cases: Cases) -> None:
    """Run the file on the cases and reject gross differences; `verify` checks small ones."""
    carry = policy.initial_carry(len(cases.action))
    for step in range(cases.steps):
        action, carry = policy.step(cases.at(step), carry)
        expected = cases.action[:, step]
        allowed = cases.allowed[:, step]
        off = np.abs(action - expected)
        if bool((off <= _GROSS * allowed).all()):
            continue
        what = f"differs from the trained one by up to {off.max():.3g} after {step + 1} steps"
        if not np.isfinite(action).all():
            what = "returns values that are not finite"
        raise Blocked(
            f"{policy.interface.task}: exported policy",
            what,
            expected="the actions of the trained policy",
            fix="check the training, which may have diverged",
        )


def io_document(
    interface: PolicyInterface, safe: Mapping[str, float], metadata: Mapping[str, str]
) -> IoDocument:
    """Return the content of io.yaml: name, shape, channels, units and meaning of every tensor."""
    layout = interface.layout
    carry = _carry(interface)
    action = TensorSpec(
        ACTION,
        "float32",
        ["batch", len(layout.actions)],
        "send now, and hold for dt; choices are whole numbers",
        list(layout.actions),
        [layout.units[name] for name in layout.actions],
    )
    outputs = [action, *(item.as_next("for the step after") for item in carry)]
    return IoDocument(
        producer=f"kinemill {interface.versions['kinemill']}",
        form="policy",
        task=interface.task,
        dt=interface.dt,
        channels=[
            ChannelSpec(name, role, layout.units[name], interface.limits.get(name))
            for role, names in (("observation", layout.observation), ("action", layout.actions))
            for name in names
        ],
        choices=dict(zip(layout.actions, interface.choices, strict=True)),
        safe_action=dict(safe),
        servos=json.loads(metadata.get("servos", "{}")),
        lineage=json.loads(metadata["lineage"]),
        opset=OPSET,
        versions=interface.versions,
        files={POLICY: FileSpec([*_inputs(interface), *carry], outputs)},
    )


_MEANINGS = {
    OBSERVATION: "measured now",
    "action_mask": "1 for each choice that is allowed, 0 for others; action after action",
    "seed": "seed of the random numbers; another one at each step of an episode",
}


def _inputs(interface: PolicyInterface) -> list[TensorSpec]:
    layout = interface.layout
    tensors = list[TensorSpec]()
    for name, (shape, kind) in interface.shapes().items():
        meaning = "image, height x width x channels, 0 to 255"
        if name in layout.texts:
            meaning = "text in UTF-8, truncated or padded with zeros"
        channels = list(layout.observation) if name == OBSERVATION else []
        units = [layout.units[channel] for channel in channels]
        axes = ["batch", *shape]
        tensors.append(TensorSpec(name, kind, axes, _MEANINGS.get(name, meaning), channels, units))
    return tensors


def _carry(interface: PolicyInterface) -> list[TensorSpec]:
    meaning = "from the step before; zeros before the first"
    return [
        TensorSpec(item.name, "float32", ["batch", *item.shape], meaning)
        for item in interface.carry
    ]
