"""State of a training: all that the next step depends on, and its form in a checkpoint.

Batches, dropout and noise depend on the seed and the step alone, and checkpoints are written
between steps. So neither random states nor a position within a batch are stored.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kinemill.store import Json
from kinemill.train.checkpoint import Groups
from kinemill.train.ema import Average

Curves = dict[str, list[list[float | None]]]


@dataclass
class State:
    """The numbers of a training, stored in checkpoints as JSON.

    Attributes:
        step: number of finished steps.
        best: smallest monitored validation error; infinite before the first evaluation.
        best_step: step of `best`.
        waited: evaluations since `best`.
        seconds: time spent on the training, s.
        compiled: whether steps are compiled; None: not decided yet.
        pieces: micro-batches of a step.
        scaler: state of torch's `GradScaler`; None without one.
        losses: losses since the last point of the curve.
        history: curves by name, points [step, value].
        reached: whether reinforcement learning reached its target return.
        saved: step of the last checkpoint of reinforcement learning.
    """

    step: int = 0
    best: float = math.inf
    best_step: int = 0
    waited: int = 0
    seconds: float = 0.0
    compiled: bool | None = None
    pieces: int = 1
    scaler: dict[str, object] | None = None
    losses: list[float] = field(default_factory=list[float])
    history: Curves = field(default_factory=dict[str, list[list[float | None]]])
    reached: bool = False
    saved: int = 0

    def record(self, values: dict[str, float], step: int | None = None) -> None:
        """Append a point to each series at `step` (default: the current one); NaN becomes None."""
        at = self.step if step is None else step
        for name, value in values.items():
            point = value if math.isfinite(value) else None
            self.history.setdefault(name, []).append([at, point])

    def to_json(self) -> Json:
        """Return the numbers as JSON; an infinite `best` becomes None."""
        return {**vars(self), "best": self.best if math.isfinite(self.best) else None}

    @classmethod
    def from_json(cls, value: Json) -> "State":
        """Return the state of `to_json`."""
        state = cls(**value)
        state.best = math.inf if value["best"] is None else state.best
        return state


@dataclass
class Training:
    """State that changes from step to step.

    Attributes:
        module: module to train.
        optimizer: torch optimizer of the trained parameters.
        average: EMA of these parameters; None without `learn.ema`.
        scaler: gradient scaler; None unless `learn.amp` is fp16.
        state: numbers of the training.
        best: weights with the smallest monitored validation error.
    """

    module: torch.nn.Module
    optimizer: torch.optim.Optimizer
    average: Average | None
    scaler: torch.amp.GradScaler | None
    state: State = field(default_factory=State)
    best: dict[str, Tensor] = field(default_factory=dict[str, Tensor])

    def __post_init__(self) -> None:
        if not self.best:
            self.keep_best()

    def average_weights(self) -> None:
        """Add the weights after this step to the EMA, if there is one."""
        if self.average is not None:
            self.average.update(self.state.step)

    def reset_scaler(self) -> None:
        """Discard an unfinished step of the gradient scaler; keep its scale."""
        if self.scaler is not None:
            device = next(self.module.parameters()).device
            fresh = torch.amp.GradScaler(device.type)
            fresh.load_state_dict(self.scaler.state_dict())
            self.scaler = fresh

    def keep_best(self) -> None:
        """Store the current weights as the best."""
        self.best = {
            name: value.detach().clone() for name, value in self.module.state_dict().items()
        }

    def to_checkpoint(self) -> tuple[Groups, Json]:
        """Return the tensors by group and name, and the rest as JSON."""
        groups: Groups = {
            "weights": dict(self.module.state_dict()),
            "best": self.best,
            "optimizer": optimizer_tensors(self.optimizer),
        }
        if self.average is not None:
            groups["average"] = self.average.values
        if self.scaler is not None:
            self.state.scaler = self.scaler.state_dict()
        return groups, self.state.to_json()

    def restore(self, groups: Groups, state: Json) -> None:
        """Restore what `to_checkpoint` returned."""
        device = next(self.module.parameters()).device
        self.module.load_state_dict(groups["weights"])
        load_optimizer(self.optimizer, groups.get("optimizer", {}))
        self.best = {name: value.to(device) for name, value in groups["best"].items()}
        self.state = State.from_json(state)
        if self.average is not None:
            self.average.restore(groups["average"])
        if self.scaler is not None and self.state.scaler is not None:
            self.scaler.load_state_dict(self.state.scaler)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the state of an optimizer as tensors by `PARAMETER.NAME`."""
    entries: dict[int, dict[str, object]] = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": torch.as_tensor(value)
        for index, entry in entries.items()
        for name, value in entry.items()
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Set the state of an optimizer to the result of `optimizer_tensors`."""
    whole = optimizer.state_dict()
    entries = dict[int, dict[str, Tensor]]()
    for name, value in tensors.items():
        index, _, key = name.partition(".")
        entries.setdefault(int(index), {})[key] = value
    whole["state"] = entries
    optimizer.load_state_dict(whole)
