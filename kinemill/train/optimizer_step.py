"""Optimizer steps: in eager mode, as a compiled program, or on a GPU without waiting for it.

Symbols: M members of an ensemble (1 without), B windows of a batch.
"""

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Tensor

from kinemill.errors import BadInput, Diverged, TrainingFailed
from kinemill.task import Learn, Progress
from kinemill.task.own_code import has_own_code
from kinemill.train.amp import MIN_SCALE, in_precision, lowered
from kinemill.train.batches import Batches
from kinemill.train.compiled import has_compiler
from kinemill.train.ddp import process_group
from kinemill.train.device_steps import CaptureFailed, DeviceSteps
from kinemill.train.devices import multiplied
from kinemill.train.gradients import KERNELS, clip, gradient_of, max_norm, seed_step
from kinemill.train.memory import is_out_of_memory, out_of_memory
from kinemill.train.nan_diagnosis import NotFinite, checked, explained
from kinemill.train.objective import Objective
from kinemill.train.training_state import Training

SETTING = "learn.cuda_graph"
# Steps from which `learn.compile: auto` compiles. It pays from 15,000 (GRU, 9 steps ahead: 91 s, to
# save 6 ms a step) to 21,000 (MLP, one step ahead: 14 s, 0.7 ms), and is kept for later trainings.
# With a clock, equal trainings could differ.
COMPILED_FROM = 20_000

Update = Callable[[Tensor, int], float]  # window numbers (M, B), training step -> loss


class Steps:
    """The updates of a training: eager, compiled, or on a GPU without waiting for it.

    The kind is chosen at the first step and stored in the training's state.

    Args:
        training: state of the training.
        objective: objective of the training, see `objective.Objective`.
        learn: settings of the training.
        progress: receives messages on the kind of updates.
        batches: window numbers of each step.

    Raises:
        BadInput: `learn.cuda_graph` is on, and a step cannot be a CUDA graph.
    """

    def __init__(
        self,
        training: Training,
        objective: Objective,
        learn: Learn,
        progress: Progress,
        batches: Batches,
    ) -> None:
        self.training = training
        self.learn = learn
        self._progress = progress
        self._batches, self._losses = batches, list[float]()
        self.device = next(training.module.parameters()).device
        self.parts = lowered(training.module, learn.amp) if learn.amp != "off" else []
        self.objective = self._in_precision(objective) if self.parts else objective
        self._update: Update | None = None
        self._on_device: DeviceSteps | None = None
        self._waiting = list[int]()  # steps to make later, as one group
        self._is_graph = self._can_be_graph()

    @property
    def is_deferred(self) -> bool:
        """Whether losses stay on the device until `collect`, which waits for it."""
        return self._on_device is not None

    def __call__(self, step: int) -> None:
        """Make one step, at the latest in `collect`, which returns its loss.

        Raises:
            TrainingFailed: The loss or the gradient is not finite, or memory does not suffice.
        """
        self._prefetch(step + 1)
        self._waiting.append(step)
        group = 1 if self._on_device is None else self._on_device.group_size
        if len(self._waiting) >= group:
            self._make_waiting()

    def _make_waiting(self) -> None:
        while self._waiting:
            step = self._waiting[0]
            try:
                made = self._make(self._waiting)
            except NotFinite as fault:
                raise self._explained(fault, step) from None
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                windows = math.ceil(self._batches.size / self.training.state.pieces)
                module = self.training.module
                raise out_of_memory(f"step {step}", module, self.learn, windows) from error
            del self._waiting[:made]

    def collect(self) -> list[float]:
        """Return the losses of the steps since the last call, in order, the mean over the members.

        Raises:
            TrainingFailed: As in a step.
        """
        self._make_waiting()
        return self._take_losses()

    def _take_losses(self) -> list[float]:
        if self._on_device is not None:
            try:
                self._losses += self._on_device.collect()
            except NotFinite as fault:
                raise self._explained(fault, 0) from None
        losses = self._losses
        self._losses = []
        return losses

    def _prefetch(self, step: int) -> None:
        """Begin to load the data of a step; with several processes, each loads its part later."""
        begin = self.objective.prefetch
        if begin is not None and step < self.learn.total_steps and process_group().size == 1:
            begin(self._batches.at(step), step)

    def _make(self, steps: list[int]) -> int:
        """Make some of the next steps; return their number."""
        step = steps[0]
        if self._on_device is None and self._update is None:
            self._begin()
        with multiplied(self.learn.matmul):
            if self._update is not None:
                self._losses.append(self._update(self._batches.at(step), step))
                return 1
            assert self._on_device is not None
            try:
                return self._on_device(steps)
            except CaptureFailed as error:
                self._give_up_graph(error)
                return 0

    def _begin(self) -> None:
        """Choose the kind of the updates; a resumed training keeps whether they are compiled."""
        state = self.training.state
        if state.compiled is None:
            state.compiled = is_to_be_compiled(self.training, self.objective, self.learn)
        if self._is_for_device():
            about = self.training, self.objective, self.learn, self._batches
            self._on_device = DeviceSteps(*about, is_graph=self._is_graph)
        else:
            self._update = one_by_one(self.training, self.objective, self.learn)
        if state.compiled:
            self._progress.log_message("steps are compiled")
        if self._on_device is not None and self._is_graph:
            self._progress.log_message("steps are CUDA graphs")

    def _explained(self, fault: NotFinite, step: int) -> Diverged:
        at = step if fault.step is None else fault.step
        about = self.training.module, self.objective, self.learn
        return explained(fault, *about, (self._batches.at(at), at))

    def _is_for_device(self) -> bool:
        """Return whether losses stay on the device, so that steps do not wait for it."""
        # A single-process training may resume in several processes, whose gradients are summed.
        defers = self.device.type == "cuda" or bool(self.training.state.compiled)
        return defers and reason_against_device(self.training) is None

    def _can_be_graph(self) -> bool:
        """Return whether the steps are CUDA graphs.

        Raises:
            BadInput: `learn.cuda_graph` is on, and they cannot be.
        """
        if self.learn.cuda_graph == "off" or self.device.type != "cuda":
            return False
        against = reason_against_graph(self.training, self.objective, self.learn)
        if against and self.learn.cuda_graph == "on":
            where = f"{SETTING}: on"
            message = f"a CUDA graph cannot hold an update {against}"
            raise BadInput(where, message, fix=f"set {SETTING} to auto")
        return against is None

    def _give_up_graph(self, error: CaptureFailed) -> None:
        """Launch steps one by one from now on.

        Raises:
            TrainingFailed: `learn.cuda_graph` is on.
        """
        message = f"a step cannot be captured as a CUDA graph: {error}"
        if self.learn.cuda_graph == "on":
            raise TrainingFailed(SETTING, message, fix=f"set {SETTING} to auto") from error
        self.training.optimizer.zero_grad(set_to_none=True)
        self.training.reset_scaler()
        self._losses = self._take_losses()
        self._on_device = None
        self._is_graph = False
        self._progress.log_message(f"{message}; steps are launched one by one")

    def _in_precision(self, objective: Objective) -> Objective:
        def loss(which: Tensor, step: int, *part: tuple[int, int]) -> Tensor:
            with in_precision(self.parts, self.learn.amp, self.device):
                return objective.loss(which, step, *part)

        return dataclasses.replace(objective, loss=loss)


def reason_against(training: Training, objective: Objective, learn: Learn) -> str | None:
    """Return why the update cannot be compiled, as the end of a sentence; None if it can."""
    parts = training.module.modules()
    drops = any(isinstance(part, torch.nn.Dropout) and part.p > 0.0 for part in parts)
    if not isinstance(training.optimizer, torch.optim.AdamW):
        return "of another optimizer than adamw"
    if objective.members > 1:
        return "of an ensemble"
    if drops or not objective.steady:
        return "that changes from step to step (dropout, horizon schedule, noise)"
    if training.state.pieces > 1 or process_group().size > 1:
        return "of several micro-batches (learn.accumulate) or processes (compute)"
    if learn.amp != "off":
        return "in mixed precision (learn.amp)"
    return None if has_compiler() else "without a C++ compiler"


def reason_against_device(training: Training) -> str | None:
    """Return why every step has to wait for the device, as the end of a sentence, or None."""
    if not getattr(training.optimizer, "_step_supports_amp_scaling", False):
        return "of an optimizer without a fused kernel, such as rmsprop"
    if process_group().size > 1:
        return "of several processes (compute)"
    return None


def reason_against_graph(training: Training, objective: Objective, learn: Learn) -> str | None:
    """Return why the update cannot be a CUDA graph, as the end of a sentence; None if it can."""
    if not objective.static:
        return "that changes from step to step (horizon schedule, images to load)"
    if has_own_code(learn):
        return "with custom code"
    return reason_against_device(training)


def is_to_be_compiled(training: Training, objective: Objective, learn: Learn) -> bool:
    """Return whether the updates of a training are compiled, see `learn.compile`.

    Raises:
        BadInput: `learn.compile` is on, and the update cannot be compiled.
    """
    if learn.compile == "auto":
        # On a GPU a CUDA graph saves most of it; the compiler may not be able to trace own code.
        device = next(training.module.parameters()).device
        if learn.total_steps < COMPILED_FROM or device.type == "cuda" or has_own_code(learn):
            return False
    against = reason_against(training, objective, learn)
    if learn.compile == "on" and against:
        message = f"cannot compile an update {against}"
        raise BadInput("learn.compile: on", message, fix="set learn.compile: auto")
    return learn.compile != "off" and against is None


def fused_step(optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    """Return `optimizer.step`, for fused Adam and AdamW without its overhead.

    The kernel of a small model takes 10 us, and the Python code around it 200 us in a training,
    where it is not in the cache of the processor.
    """
    group = optimizer.param_groups[0]
    is_adam = isinstance(optimizer, torch.optim.Adam) and len(optimizer.param_groups) == 1
    if not is_adam or not group["fused"] or group["amsgrad"]:
        return optimizer.step
    kernel = KERNELS._fused_adamw_ if group["decoupled_weight_decay"] else KERNELS._fused_adam_
    constants = {name: group[name] for name in ("weight_decay", "eps", "amsgrad", "maximize")}
    constants |= dict(zip(("beta1", "beta2"), group["betas"], strict=True))

    @torch.no_grad()
    def step() -> None:
        parameters = [value for value in group["params"] if value.grad is not None]
        states = [optimizer.state[value] for value in parameters]
        for value, state in zip(parameters, states, strict=True):
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float32, device=value.device)
                state.update(exp_avg=torch.zeros_like(value), exp_avg_sq=torch.zeros_like(value))
        counts = [state["step"] for state in states]
        KERNELS._foreach_add_(counts, 1)
        kernel(
            parameters,
            [value.grad for value in parameters],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            counts,
            lr=group["lr"],
            **constants,
        )

    return step


def one_by_one(training: Training, objective: Objective, learn: Learn) -> Update:
    """Return the update in eager mode, (window numbers (M, B), step) -> loss.

    The update raises `NotFinite` for a loss or a gradient that is not finite.
    """
    parameters = list(training.module.parameters())
    device = parameters[0].device
    optimizer = training.optimizer
    scaler = training.scaler
    make_step = fused_step(optimizer)
    gradient = gradient_of(training, objective)
    processes = process_group()

    def update(batch: Tensor, step: int) -> float:
        for group in optimizer.param_groups:
            group["lr"] = learn.schedule.rate(step, learn.optimizer.lr, learn.total_steps)
        # For dropout; all other noise is keyed by the step.
        seed_step(learn.seed * 1_000_003 + step + processes.seed(step), device)
        for parameter in parameters:
            parameter.grad = None
        loss = gradient(batch, step)
        if scaler is None:
            norm = clip(parameters, max_norm(learn), objective.members).item()
            value = checked(loss.item() / objective.members, norm)
            make_step()
            return value
        scaler.unscale_(optimizer)
        norm = clip(parameters, max_norm(learn), objective.members).item()
        # An overflow of the scaled gradient skips this step only and halves the scale, so the norm
        # has to be finite only where the scale is at its minimum.
        alone = scaler.get_scale() <= MIN_SCALE
        value = checked(loss.item() / objective.members, norm, norm_too=alone)
        scaler.step(optimizer)
        scaler.update()
        return value

    return update
