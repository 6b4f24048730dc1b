"""Models with random weights, their exported files, and their verification data.

The robot is a pendulum, θ̈ = -9 sin θ - 0.2 θ̇ + u, in rad, rad/s and N·m, sampled at 20 ms.
"""

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
import torch
from google.protobuf.message import DecodeError

from kinemill.dataset import PackedDataset
from kinemill.errors import KinemillError
from kinemill.export.bundle import seal, write_sums
from kinemill.export.interface import describe
from kinemill.export.step_files import write_model
from kinemill.runtime import Interface
from kinemill.task.document import Task
from kinemill.task.verify import Verify
from kinemill.train.layout import Layout, layout_of
from kinemill.train.step import make_step
from kinemill.verify.dynamics import DynamicsSubject
from kinemill.verify.verifier import run_checks
from tests.dataset.packing import PENDULUM, packed_of, swing

DT = 0.02
FILES = ("step.onnx", "rollout.onnx")
DESCRIPTION = {
    "task": "pendulum",
    "dataset": "d" * 64,
    "units": {"angle": "rad", "velocity": "rad/s", "torque": "N*m"},
    "limits": {"angle": None, "velocity": [-30.0, 30.0], "torque": [-6.0, 6.0]},
}


def task_of(model: dict[str, Any], history: int, learn: dict[str, Any]) -> Task:
    """Return the task of the pendulum with this model."""
    limits = {"velocity": {"limits": [-30, 30]}, "torque": {"limits": [-6, 6]}}
    channels = {name: own | limits.get(name, {}) for name, own in PENDULUM.items()}
    learn_settings = {"type": "dynamics", "model": model, "history": history, "horizon": 5, **learn}
    return Task.model_validate(
        {"task": "pendulum", "dt": DT, "channels": channels, "learn": learn_settings}
    )


def random_step(
    model: dict[str, Any], history: int = 4, seed: int = 0, learn: dict[str, Any] | None = None
) -> Any:
    """Return a step with random weights, scaled as a training on the pendulum would scale it."""
    torch.manual_seed(seed)
    task = task_of(model, history, learn or {})
    layout = layout_of(task)
    std = torch.linspace(0.7, 2.0, layout.features)
    outputs = len(layout.outputs)
    scale = {
        "state_std": torch.tensor([1.3, 2.0]),
        "feature_mean": 0.2 * (std - 1.0),
        "feature_std": std,
        "output_mean": torch.zeros(outputs),
        "output_std": torch.tensor([0.05, 0.3]) if outputs == 2 else torch.full((outputs,), 5.0),
    }
    settings: Any = task.learn
    return make_step(settings.model, layout, scale).eval()


def make_scale(
    layout: Layout,
    *,
    feature_mean: float = 0.0,
    feature_std: float = 1.0,
    output_mean: float = 0.0,
    output_std: float = 1.0,
) -> dict[str, torch.Tensor]:
    """Return statistics of a training set that are equal for all channels."""
    return {
        "state_std": torch.ones(len(layout.states)),
        "feature_mean": torch.full((layout.features,), feature_mean),
        "feature_std": torch.full((layout.features,), feature_std),
        "output_mean": torch.full((len(layout.outputs),), output_mean),
        "output_std": torch.full((len(layout.outputs),), output_std),
    }


def untrained(task: Task, **scale: float) -> Any:
    """Return the step of a task with random weights; `scale` as in `make_scale`."""
    layout = layout_of(task)
    learn: Any = task.learn
    torch.manual_seed(0)
    return make_step(learn.model, layout, make_scale(layout, **scale)).eval()


def write_files(task: Task, step: Any, folder: Path) -> None:
    """Export a step with the description of its task."""
    channels = {name: task.channels[name] for name in task.columns}
    description = {
        "task": task.name,
        "dataset": "0" * 64,
        "units": {name: channel.unit for name, channel in channels.items()},
        "limits": {name: channel.limits for name, channel in channels.items()},
    }
    write_model(step, describe(description, step), folder)


def pendulum_data() -> PackedDataset:
    """Return 4 training, 1 validation and 6 test episodes of the pendulum."""
    seeds = iter(range(11))
    sizes = {"train": (4, 200), "validation": (1, 100), "test": (6, 120)}
    runs = {
        split: [swing(rows, next(seeds)) for _ in range(count)]
        for split, (count, rows) in sizes.items()
    }
    return packed_of("pendulum", DT, PENDULUM, runs)


@dataclass(frozen=True)
class Export:
    """A trained step and the folder that its files are in, or what was made of them.

    Attributes:
        step: as it was trained.
        folder: with step.onnx, rollout.onnx and io.yaml.
    """

    step: Any
    folder: Path

    @property
    def interface(self) -> Interface:
        """What the trained model says of itself."""
        return describe(DESCRIPTION, self.step)

    def write(self, step: Any = None, interface: Interface | None = None) -> None:
        """Export a step as if it were the trained one, in the place of what was exported before."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.iterdir():
            path.unlink()
        step = copy.deepcopy(self.step if step is None else step)
        write_model(step, interface or self.interface, self.folder)

    def edit(self, change: Any, *names: str) -> None:
        """Change the graphs of the files, and their hashes: whoever made them, made them so."""
        for name in names or FILES:
            model = onnx.load(self.folder / name)
            change(model)
            self.replace(name, model.SerializeToString())

    def replace(self, name: str, content: bytes) -> None:
        """Put another file in the place of one, with digests that fit."""
        (self.folder / name).write_bytes(content)
        try:
            seal(self.folder)
        except DecodeError:  # no ONNX
            write_sums(self.folder)

    def declare(self, **fields: Any) -> None:
        """Let both files declare other fields."""
        properties = replace(self.interface, **fields).to_metadata()
        self.edit(lambda model: onnx.helper.set_model_props(model, properties))

    def faults(self, data: PackedDataset) -> list[str]:
        """Return the lines of the verdict that failed, or the one error that ended it."""
        try:
            subject = DynamicsSubject(
                self.folder, self.step, data, Verify(horizon=10, stride=5), self.interface
            )
            return [
                f"{line.name}: {line.value}"
                for line in run_checks(subject).gates
                if not line.passed
            ]
        except KinemillError as error:
            return [str(error)]
