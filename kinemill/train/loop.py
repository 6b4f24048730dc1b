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
from kinemill.spec.parts import Learn, Schedule
from kinemill.spec.ports import Progress, Tracker
from kinemill.train.checkpoint import read_checkpoint, write_checkpoint

Curves = dict[str, list[list[float | None]]]


@dataclass
class State:
    """Where a training stands; all of it goes into the checkpoint."""

    step: int = 0
    best: float = math.inf
    best_step: int = 0
    waited: int = 0
    seconds: float = 0.0
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
        loss: batch of window numbers, training step -> scalar loss with gradient.
        evaluate: () -> validation errors by name.
        watched: the name whose smallest value marks the best weights.
        windows: number of training windows.
        weights: (windows,) float64, how often each is drawn over the mean; None: all equally often.
    """

    loss: Callable[[Tensor, int], Tensor]
    evaluate: Callable[[], dict[str, float]]
    watched: str
    windows: int
    weights: Tensor | None = None


def learning_rate(step: int, learn: Learn) -> float:
    """Return the rate at `step`: linear warm-up, then half a cosine down to `min_lr`, or constant.

    Loshchilov and Hutter, 2017 (SGDR), eq. (5), without restarts.
    """
    schedule, top = learn.schedule, learn.optimizer.lr
    if step < schedule.warmup_steps:
        return top * (step + 1) / schedule.warmup_steps
    if schedule.type == "constant":
        return top
    after = step - schedule.warmup_steps
    done = min(1.0, after / max(1, _decay_steps(schedule, learn)))
    low = min(schedule.min_lr, top)
    return low + 0.5 * (top - low) * (1.0 + math.cos(math.pi * done))


def _decay_steps(schedule: Schedule, learn: Learn) -> int:
    return schedule.decay_steps or learn.steps - schedule.warmup_steps


def batch_at(step: int, windows: int, learn: Learn, weights: Tensor | None = None) -> Tensor:
    """Return the window numbers of one batch: shuffled epochs that follow from seed and step.

    With `weights`, an epoch is as long and holds each window as often as it weighs.
    """
    size = min(learn.batch_size, windows)
    per_epoch = windows // size
    epoch, position = divmod(step, per_epoch)
    order = _shuffled(windows, learn.seed, epoch, weights)
    return order[position * size : (position + 1) * size]


_order_of: dict[tuple[int, int, int], tuple[Tensor | None, Tensor]] = {}


def _shuffled(windows: int, seed: int, epoch: int, weights: Tensor | None) -> Tensor:
    key = (windows, seed, epoch)
    known = _order_of.get(key)
    if known is None or known[0] is not weights:
        _order_of.clear()
        generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
        order = torch.randperm(windows, generator=generator)
        if weights is not None:
            order = _weighted(weights, generator)[order]
        _order_of[key] = (weights, order)
    return _order_of[key][1]


def _weighted(weights: Tensor, generator: torch.Generator) -> Tensor:
    """Draw as many windows as there are, each as often as it weighs, rounded up or down by chance.

    Systematic resampling (Kitagawa 1996, section 5): one random number an epoch.
    """
    ends = torch.cumsum(weights / weights.sum() * len(weights), 0)
    start = torch.rand(1, generator=generator, dtype=torch.float64)
    drawn = torch.searchsorted(ends, torch.arange(len(weights), dtype=torch.float64) + start)
    return drawn.clamp(max=len(weights) - 1)


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
    device = next(module.parameters()).device
    optimizer = torch.optim.AdamW(
        module.parameters(),
        lr=learn.optimizer.lr,
        weight_decay=learn.optimizer.weight_decay,
        fused=True,
    )
    state, best = _resume(folder, module, optimizer, progress)
    began = time.monotonic() - state.seconds
    while state.step < learn.steps and not _out_of_patience(state, learn):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(state.step, learn)
        batch = batch_at(state.step, objective.windows, learn, objective.weights).to(device)
        state.losses.append(
            _update(module, optimizer, objective.loss(batch, state.step), learn, state.step)
        )
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


def _update(
    module: torch.nn.Module, optimizer: Any, loss: Tensor, learn: Learn, step: int
) -> float:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    limit = learn.grad_clip if learn.grad_clip is not None else math.inf
    norm = torch.nn.utils.clip_grad_norm_(module.parameters(), limit)
    value = loss.item()
    if not (math.isfinite(value) and math.isfinite(norm.item())):
        raise TrainingFailed(
            f"step {step}",
            f"loss {value}, gradient norm {norm.item()}",
            expected="finite numbers",
            fix="lower learn.optimizer.lr or learn.horizon, or look at the data for extremes",
        )
    optimizer.step()
    return value


def _evaluate(
    module: torch.nn.Module,
    objective: Objective,
    state: State,
    best: dict[str, Tensor],
    tracker: Tracker,
) -> dict[str, Tensor]:
    errors = objective.evaluate()
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
