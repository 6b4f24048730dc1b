"""The training loop: windows in, the weights with the best validation error out.

Everything that the next step depends on is in the checkpoint, and batches follow from the seed and
the step alone, so a killed training goes on as if nothing had happened.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kinemill.errors import TrainingFailed
from kinemill.spec.parts import Learn
from kinemill.spec.ports import Progress, Tracker
from kinemill.train.batches import Batches, member_seed
from kinemill.train.checkpoint import read_checkpoint, write_checkpoint
from kinemill.train.precision import Matmul, multiplied, probe
from kinemill.train.updating import Update, as_program, is_to_be_compiled, one_by_one

Curves = dict[str, list[list[float | None]]]


@dataclass
class State:
    """Where a training stands; all of it goes into the checkpoint."""

    step: int = 0
    best: float = math.inf
    best_step: int = 0
    waited: int = 0
    seconds: float = 0.0
    compiled: bool | None = None  # whether its steps are; None: not decided yet
    matmul: Matmul | None = None  # how its steps multiply; None: not decided yet
    losses: list[float] = field(default_factory=list[float])  # since the last point of the curve
    history: Curves = field(default_factory=dict[str, list[list[float | None]]])

    def record(self, values: dict[str, float]) -> None:
        """Append one point of each series at the present step; JSON has no NaN, so None for it."""
        for name, value in values.items():
            point = value if math.isfinite(value) else None
            self.history.setdefault(name, []).append([self.step, point])


@dataclass(frozen=True)
class Objective:
    """What the loop minimises and watches.

    Attributes:
        loss: window numbers (M, B), training step -> scalar loss with gradient, summed over the M
            members of an ensemble; M is 1 without one.
        evaluate: () -> validation errors by name.
        watched: the name whose smallest value marks the best weights.
        windows: number of training windows.
        weights: (windows,) float64, how often each is drawn over the mean; None: all equally often.
        members: M; their parameters are stacked along the first axis.
        steady: whether the loss of windows is the same at every training step.
    """

    loss: Callable[[Tensor, int], Tensor]
    evaluate: Callable[[], dict[str, float]]
    watched: str
    windows: int
    weights: Tensor | None = None
    members: int = 1
    steady: bool = False


def learning_rate(step: int, learn: Learn) -> float:
    """Return the rate at `step`, by the schedule up to the optimizer's own rate."""
    return learn.schedule.rate(step, learn.optimizer.lr, learn.steps)


def fit(
    module: torch.nn.Module,
    objective: Objective,
    learn: Learn,
    folder: Path,
    listeners: tuple[Tracker, Progress],
) -> tuple[State, dict[str, Tensor]]:
    """Train `module`, going on from a checkpoint in `folder` if there is one.

    Returns:
        The final state, and the weights that had the smallest watched validation error.

    Raises:
        TrainingFailed: the loss or a gradient is not finite, which leaves the checkpoint as it was;
            or no validation error ever was.
    """
    tracker, progress = listeners
    optimizer = learn.optimizer.build(p for p in module.parameters() if p.requires_grad)
    state, best = _resume(folder, module, optimizer, progress)
    batches = batches_of(objective, learn)
    update = _update_of(module, objective, optimizer, learn, state, batches)
    progress.say("steps are compiled") if state.compiled else None
    progress.say("steps multiply in bfloat16") if state.matmul == "medium" else None
    began = time.monotonic() - state.seconds
    while state.step < learn.steps and not _out_of_patience(state, learn):
        state.losses.append(update(batches.at(state.step), state.step))
        state.step += 1
        if state.step % learn.log_every == 0 or state.step == learn.steps:
            _report_losses(state, learn, tracker)
            progress.advance("model", state.step, learn.steps, _note(state))
        if state.step % learn.eval_every == 0 or state.step == learn.steps:
            best = _evaluate(module, objective, state, best, tracker)
            progress.say(f"step {state.step}/{learn.steps}: {_note(state)}")
        if state.step % learn.save_every == 0:
            state.seconds = time.monotonic() - began
            write_checkpoint(folder, module, optimizer, best, vars(state))
    state.seconds = time.monotonic() - began
    if state.losses:  # patience ended between two points of the curve
        _report_losses(state, learn, tracker)
    tracker.flush()
    if not math.isfinite(state.best):
        raise TrainingFailed(
            objective.watched,
            f"not finite in any evaluation up to step {state.step}",
            expected="a model whose rollouts stay finite on the validation split",
            fix="lower learn.optimizer.lr or learn.horizon",
        )
    return state, best


def batches_of(objective: Objective, learn: Learn) -> Batches:
    """Return which windows each step sees; every member of an ensemble has an order of its own."""
    seeds = tuple(member_seed(learn.seed, member) for member in range(objective.members))
    return Batches(objective.windows, learn.batch_size, seeds, objective.weights)


def _resume(
    folder: Path, module: torch.nn.Module, optimizer: Any, progress: Progress
) -> tuple[State, dict[str, Tensor]]:
    saved = read_checkpoint(folder, module, optimizer)
    if saved is None:
        return State(), _weights(module)
    state, best = State(**saved[0]), saved[1]
    progress.say(f"going on from the checkpoint at step {state.step}")
    return state, best


def _out_of_patience(state: State, learn: Learn) -> bool:
    return learn.patience is not None and state.waited >= learn.patience


def _update_of(
    module: torch.nn.Module,
    objective: Objective,
    optimizer: Any,
    learn: Learn,
    state: State,
    batches: Batches,
) -> Update:
    """Return what makes one step; a training that goes on does so in the way it began."""
    device = next(module.parameters()).device
    if state.matmul is None:
        batch = batches.at(0).to(device)
        state.compiled = is_to_be_compiled(module, objective, optimizer, learn, batch)
        state.matmul = (
            probe(module, lambda some: objective.loss(some, 0), batch)
            if learn.matmul == "auto"
            else learn.matmul
        )
    make, how = (as_program if state.compiled else one_by_one), state.matmul
    update = make(module, objective, optimizer, learn, device)

    def multiplying(batch: Tensor, step: int) -> float:
        with multiplied(how):
            return update(batch, step)

    return multiplying if how != "highest" else update


def _evaluate(
    module: torch.nn.Module,
    objective: Objective,
    state: State,
    best: dict[str, Tensor],
    tracker: Tracker,
) -> dict[str, Tensor]:
    module.eval()
    errors = objective.evaluate()
    module.train()
    _report(state, errors, tracker)
    watched = errors[objective.watched]
    if watched < state.best:  # never true for NaN, nor for infinity at first
        state.best, state.best_step, state.waited = watched, state.step, 0
        return _weights(module)
    state.waited += 1
    return best


def _report_losses(state: State, learn: Learn, tracker: Tracker) -> None:
    mean = sum(state.losses) / len(state.losses)
    state.losses.clear()
    _report(state, {"train/loss": mean, "lr": learning_rate(state.step - 1, learn)}, tracker)


def _report(state: State, values: dict[str, float], tracker: Tracker) -> None:
    state.record(values)
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    tracker.log_metrics(finite, state.step)


def _note(state: State) -> str:
    latest = {name: series[-1][1] for name, series in state.history.items() if name != "lr"}
    return ", ".join(
        f"{name} {'not finite' if value is None else f'{value:.4g}'}"
        for name, value in latest.items()
    )


def _weights(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
