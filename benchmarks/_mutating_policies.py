"""Faults of exported policies, each planted alone into a sound export.

Each fault lists the words that the verifier must report: a line of its verdict, or a part of the
error that stops it.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from benchmarks._balance import DT
from benchmarks._policies import KINDS, Chooser, Gains, Looking, Sampler, published
from kinemill.errors import Blocked
from kinemill.export.bundle import seal
from kinemill.export.policy import describe
from kinemill.policies.verification.subject import PolicySubject
from kinemill.runtime.integrity import POLICY
from kinemill.task.document import Task
from kinemill.train.policy import PolicyModule
from kinemill.verify.verifier import run_checks

Kind = Callable[[], PolicyModule]

PARITY = "policy parity"
Plant = Callable[[Path], Path]


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        kind: the policy that was trained.
        plant: from an empty folder to that of the faulty export.
        names: words, one of which must be reported.
    """

    kind: Kind
    plant: Plant
    names: tuple[str, ...]


FAULTS: dict[str, Fault] = {}
TASK = Task.model_validate(
    {
        "task": "cart",
        "dt": DT,
        "learn": {"type": "reinforcement", "algorithm": {"type": "ppo"}},
        "environment": {
            "type": "python",
            "path": "benchmarks._balance:Balance",
            "steps": 40,
            "trials": {"episodes": 5},
        },
    }
)


def faults_of(fault: Fault, folder: Path) -> list[str]:
    """Plant a fault and return the failed lines, or the error that stopped the verification."""
    return _failed_lines(fault.kind, fault.plant(folder))


def sound_policies(scratch: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each kind of policy with the failed lines of its sound export."""
    for kind in KINDS:
        yield kind.__name__.lower(), _failed_lines(kind, published(kind(), scratch / kind.__name__))


def _failed_lines(kind: Kind, folder: Path) -> list[str]:
    module = kind()
    task = TASK if kind is Gains else TASK.model_copy(update={"environment": None})
    subject = PolicySubject(task, folder, module, describe(module, "cart", "d" * 64))
    try:
        gates = run_checks(subject).gates
    except Blocked as error:
        return [str(error)]
    return [f"{line.name}: {line.value}" for line in gates if not line.passed]


def _module(title: str, made: Any, *names: str) -> None:
    """Register an export of a module that differs from the trained one."""
    trained = made.__mro__[1]
    FAULTS[title] = Fault(trained, lambda folder: published(made(), folder), names)


def _file(title: str, kind: Kind, change: Any, *names: str) -> None:
    """Register a change in the exported file."""

    def plant(folder: Path) -> Path:
        published(kind(), folder)
        model = onnx.load(folder / POLICY)
        change(model)
        onnx.save(model, folder / POLICY)
        seal(folder)
        return folder

    FAULTS[title] = Fault(kind, plant, names)


class _Unscaled(Gains):
    def forward(self, *tensors: Any) -> Any:
        observation, previous, count = tensors
        outputs = super().forward(observation * self.scale, previous * self.scale, count)
        return outputs[0], observation, outputs[2]


class _Swapped(Gains):
    def forward(self, *tensors: Any) -> Any:
        order = torch.tensor([1, 0, 2])
        action, _, count = super().forward(tensors[0][:, order], tensors[1][:, order], tensors[2])
        return action, tensors[0], count


class _Doubled(Gains):
    def forward(self, *tensors: Any) -> Any:
        action, *carry = super().forward(*tensors)
        return ((2.0 * action).clamp(-10.0, 10.0), *carry)


class _Reversed(Gains):
    def forward(self, *tensors: Any) -> Any:
        action, *carry = super().forward(*tensors)
        return (-action, *carry)


class _Unlimited(Gains):
    def forward(self, *tensors: Any) -> Any:
        action, *carry = super().forward(*tensors)
        return (1.5 * action, *carry)


class _Forgetful(Gains):
    def forward(self, *tensors: Any) -> Any:
        action, observation, count = super().forward(*tensors)
        return action, observation, 0.0 * count


class _NeverReset(Gains):
    def forward(self, *tensors: Any) -> Any:
        return super().forward(tensors[0], tensors[1], tensors[2] + 1.0)


class _Late(Gains):
    def forward(self, *tensors: Any) -> Any:
        observation, previous, count = tensors
        delayed = torch.where(count > 0, previous, observation)
        action, _, after = super().forward(delayed, delayed, count)
        return action, observation, after


class _Rounded(Gains):
    def forward(self, *tensors: Any) -> Any:
        action, *carry = super().forward(*tensors)
        return (action.half().float(), *carry)


class _Unmasked(Chooser):
    def forward(self, *tensors: Any) -> Any:
        return super().forward(tensors[0], torch.ones_like(tensors[1]), tensors[2])


class _OneOff(Chooser):
    def forward(self, *tensors: Any) -> Any:
        action, empty = super().forward(*tensors)
        return action + 1.0, empty


class _Deaf(Sampler):
    def forward(self, *tensors: Any) -> Any:
        return super().forward(tensors[0], 0 * tensors[1])


class _Blind(Looking):
    def forward(self, *tensors: Any) -> Any:
        return super().forward(tensors[0] // 255, tensors[1])


class _Mirrored(Looking):
    def forward(self, *tensors: Any) -> Any:
        return super().forward(tensors[0].flip(2), tensors[1])


class _Mute(Looking):
    def forward(self, *tensors: Any) -> Any:
        return super().forward(tensors[0], 0 * tensors[1])


_module("observations not normalized", _Unscaled, PARITY)
_module("two observed channels swapped", _Swapped, PARITY)
_module("actions scaled wrongly", _Doubled, PARITY)
_module("sign of the actions flipped", _Reversed, PARITY)
_module("action limits not applied", _Unlimited, "limits of actions")
_module("recurrent state lost between steps", _Forgetful, PARITY)
_module("recurrent state not reset at episode start", _NeverReset, PARITY)
_module("observations one step late", _Late, PARITY)
_module("half precision", _Rounded, PARITY)
_module("action mask ignored", _Unmasked, "forbidden choices", PARITY)
_module("choices counted from 1", _OneOff, "limits of actions", PARITY)
_module("samples independent of the seed", _Deaf, PARITY)
_module("images scaled twice", _Blind, PARITY)
_module("images mirrored", _Mirrored, PARITY)
_module("instruction ignored", _Mute, PARITY)


def _frozen(model: onnx.ModelProto) -> None:
    for item in (*model.graph.input, *model.graph.output):
        item.type.tensor_type.shape.dim[0].dim_value = 1


def _swallowed(model: onnx.ModelProto) -> None:
    """Insert a guard before the observation that replaces NaN by 0."""
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == "observation":
                node.input[index] = "observation.guarded"
    nan = helper.make_node("IsNaN", ["observation"], ["observation.nan"])
    zero = numpy_helper.from_array(torch.zeros(1).numpy(), "observation.zero")
    inputs = ["observation.nan", "observation.zero", "observation"]
    guard = helper.make_node("Where", inputs, ["observation.guarded"])
    model.graph.initializer.append(zero)
    nodes = [nan, guard, *copy.deepcopy(list(model.graph.node))]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _drawing(model: onnx.ModelProto) -> None:
    """Add unseeded noise."""
    for node in model.graph.node:
        for index, name in enumerate(node.output):
            if name == "action":
                node.output[index] = "action.plain"
    noise = helper.make_node("RandomNormalLike", ["action.plain"], ["noise"], scale=1e-3)
    noise.attribute.append(helper.make_attribute("dtype", TensorProto.FLOAT))
    model.graph.node.append(noise)
    model.graph.node.append(helper.make_node("Add", ["action.plain", "noise"], ["action"]))


def _saying(name: str, old: str, new: str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        for item in model.metadata_props:
            if item.key == name:
                item.value = item.value.replace(old, new)

    return change


_file("batch frozen at one", Gains, _frozen, "fixed batch size", "interface")
_file("NaN replaced by 0", Gains, _swallowed, "NaN stays in its row")
_file("unseeded noise", Gains, _drawing, "operators", "repeatable")
_file("limits of another robot in the metadata", Gains, _saying("limits", "10", "20"), "metadata")
_file("wrong time step in the metadata", Gains, _saying("dt", "0.02", "0.01"), "metadata")
_file("units of another robot in the metadata", Gains, _saying("units", '"N"', '"kN"'), "metadata")
_file(
    "order of observations in the metadata",
    *(Gains, _saying("observation", '"position", "angle"', '"angle", "position"'), "metadata"),
)


def _relabeled(folder: Path) -> Path:
    module = Gains()
    module.layout = replace(module.layout, limits={})
    return published(module, folder)


FAULTS["limits lost in the metadata"] = Fault(Gains, _relabeled, ("metadata",))
