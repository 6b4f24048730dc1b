"""Training loop with early stopping on the validation error.

The checkpoint holds everything that the next step depends on, and batches depend on the seed and
the step alone. A killed training therefore resumes with identical results.
"""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from kinemill.errors import Diverged
from kinemill.task.learn import Learn
from kinemill.task.protocols import Progress, Tracker
from kinemill.train.amp import scaler_of
from kinemill.train.batches import Batches, member_seed
from kinemill.train.checkpoint import is_due, read_checkpoint, write_checkpoint
from kinemill.train.ddp import broadcast_tensors, process_group
from kinemill.train.ema import Average
from kinemill.train.memory import is_out_of_memory, out_of_memory, peaks
from kinemill.train.objective import Objective
from kinemill.train.optimizer_step import Steps
from kinemill.train.time_limit import is_time_over
from kinemill.train.training_state import State, Training

Watch = Callable[[torch.nn.Module], dict[str, float]]  # module -> further metrics by name


def learning_rate(step: int, learn: Learn) -> float:
    """Return the learning rate of training step `step`, from 0."""
    return learn.schedule.rate(step, learn.optimizer.lr, learn.total_steps)


def fit(
    module: torch.nn.Module,
    objective: Objective,
    learn: Learn,
    folder: Path,
    listeners: tuple[Tracker, Progress],
    watch: Watch | None = None,
) -> tuple[State, dict[str, Tensor]]:
    """Train `module`, resuming from a checkpoint in `folder` if there is one.

    The first step after a `time_limit` is the last one.

    Args:
        module: module to train.
        objective: objective to minimize.
        learn: settings of the training.
        folder: folder of checkpoints.
        listeners: tracker and progress.
        watch: called at each evaluation, with the evaluated weights; its numbers are logged.

    Returns:
        The final state, and the weights with the smallest validation error of
        `objective.monitor`.

    Raises:
        TrainingFailed: The loss or a gradient is not finite, or memory does not suffice (the last
            checkpoint stays), or no validation error was ever finite.
    """
    tracker, progress = listeners
    learn = learn.with_steps(objective.windows)
    training = _begin(module, learn, folder, progress)
    state = training.state
    batches = batches_of(objective, learn)
    update = Steps(training, objective, learn, progress, batches)
    points = list[int]()  # points of the curve whose losses are still on the device
    began = time.monotonic() - state.seconds
    if objective.evaluate_start and state.step == 0:
        _evaluate(training, objective, learn, tracker, watch)
    is_over = False
    patience = math.inf if learn.patience is None else learn.patience
    while state.step < learn.total_steps and not is_over and state.waited < patience:
        update(state.step)
        state.step += 1
        is_over = state.step == learn.total_steps or is_time_over()
        training.average_weights()
        milestones = _Milestones.after(state.step, learn, is_over=is_over)
        points += [state.step] if milestones.point else []
        # Collecting losses waits for a GPU, so it is deferred to steps that wait anyway.
        if milestones.evaluation or milestones.checkpoint or not update.is_deferred:
            _report_losses(state, update, points, learn, tracker)
        if milestones.point:
            progress.advance("model", state.step, learn.total_steps, _note(state, learn, objective))
        if milestones.evaluation:
            _evaluate(training, objective, learn, tracker, watch)
            progress.log_message(
                f"step {state.step}/{learn.total_steps}: {_note(state, learn, objective)}"
            )
        if milestones.checkpoint:
            _save(training, learn, folder, began)
    state.seconds = time.monotonic() - began
    if state.losses:  # patience ended between two points of the curve
        _report_losses(state, update, [state.step], learn, tracker)
    tracker.flush()
    return _checked(state, objective), training.best


@dataclass(frozen=True)
class _Milestones:
    """Work after a step: a point of the curve, an evaluation, a checkpoint."""

    point: bool
    evaluation: bool
    checkpoint: bool

    @classmethod
    def after(cls, step: int, learn: Learn, *, is_over: bool) -> "_Milestones":
        return cls(
            point=step % learn.log_every == 0 or is_over,
            evaluation=step % learn.eval_every == 0 or is_over,
            checkpoint=is_due(step, step - 1, learn),
        )


def _save(training: Training, learn: Learn, folder: Path, began: float) -> None:
    """Write a checkpoint in the process of rank zero."""
    if process_group().is_rank_zero:
        training.state.seconds = time.monotonic() - began
        write_checkpoint(folder, *training.to_checkpoint(), learn.keep)


def _checked(state: State, objective: Objective) -> State:
    """Return the state, or raise Diverged if no validation error was ever finite."""
    if not math.isfinite(state.best):
        raise Diverged(
            objective.monitor,
            f"not finite in any evaluation up to step {state.step}",
            expected="a model whose rollouts stay finite on the validation split",
            fix="lower learn.optimizer.lr or learn.horizon",
        )
    return state


def batches_of(objective: Objective, learn: Learn) -> Batches:
    """Return the batches (M, B) of each step; every member of an ensemble has its own order."""
    seeds = tuple(member_seed(learn.seed, member) for member in range(objective.members))
    size = learn.batch_size * learn.accumulate
    return Batches(objective.windows, size, seeds, objective.weights)


def _begin(module: torch.nn.Module, learn: Learn, folder: Path, progress: Progress) -> Training:
    """Return a new training, or one restored from the checkpoint in `folder`."""
    group = process_group()
    group.align(module)
    training = Training(
        module,
        learn.optimizer.build(p for p in module.parameters() if p.requires_grad),
        Average(module, learn.ema) if learn.ema is not None else None,
        scaler_of(learn.amp, next(module.parameters()).device),
        State(pieces=learn.accumulate),
    )
    saved = broadcast_tensors(
        group, read_checkpoint(folder, progress.log_message) if group.is_rank_zero else None
    )
    if saved is not None:
        training.restore(*saved)
        progress.log_message(f"resuming from the checkpoint at step {training.state.step}")
    return training


def _evaluate(
    training: Training, objective: Objective, learn: Learn, tracker: Tracker, watch: Watch | None
) -> None:
    """Evaluate the weights (the EMA, if used), and keep them if they are the best."""
    state = training.state
    module = training.module
    average = training.average
    with average.applied() if average is not None else nullcontext():
        module.eval()
        try:
            errors = process_group().from_rank_zero(objective.evaluate)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            where = f"validation at step {state.step}"
            raise out_of_memory(where, module, learn, learn.batch_size) from error
        error = errors[objective.monitor]
        _report(state, errors | (watch(module) if watch is not None else {}), tracker)
        module.train()
        state.waited += 1
        if error < state.best:  # false for NaN, and for infinity at the first evaluation
            state.best = error
            state.best_step = state.step
            state.waited = 0
            training.keep_best()
    # Not part of `history`, which is identical for the same training on any machine.
    tracker.log_metrics(peaks(next(module.parameters()).device), state.step)


def _report_losses(
    state: State, update: Steps, points: list[int], learn: Learn, tracker: Tracker
) -> None:
    """Collect the losses of all steps, and report their means up to each point of the curve."""
    state.losses += update.collect()
    first = state.step - len(state.losses)
    for point in points:
        count = point - first
        mean = sum(state.losses[:count]) / count
        del state.losses[:count]
        first = point
        _report(state, {"train/loss": mean, "lr": learning_rate(point - 1, learn)}, tracker, point)
    points.clear()


def _report(
    state: State, values: dict[str, float], tracker: Tracker, step: int | None = None
) -> None:
    at = state.step if step is None else step
    state.record(values, at)
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    tracker.log_metrics(finite, at)


def _note(state: State, learn: Learn, objective: Objective) -> str:
    """Return the latest values and the number of finished epochs as text."""
    latest = {name: series[-1][1] for name, series in state.history.items() if name != "lr"}
    parts = [
        f"{name} {'not finite' if value is None else f'{value:.3g}'}"
        for name, value in latest.items()
    ]
    if learn.epochs is not None:
        done = state.step / learn.epoch_steps(objective.windows)
        parts.insert(0, f"epoch {done:.1f}/{learn.epochs}")
    return ", ".join(parts)
