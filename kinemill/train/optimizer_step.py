"""Optimizer step: gradient accumulation over micro-batches, gradient clipping, compilation.

Symbols: M members of an ensemble (1 without), B windows of a batch.
"""

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Tensor

from kinemill.errors import BadInput
from kinemill.task.learn import Learn
from kinemill.task.own_code import has_own_code
from kinemill.task.protocols import Progress
from kinemill.train.amp import MIN_SCALE, in_precision, lowered
from kinemill.train.compiled import compiled, has_compiler, operations_of, pays
from kinemill.train.ddp import process_group
from kinemill.train.memory import is_out_of_memory, make_room, out_of_memory
from kinemill.train.nan_diagnosis import NotFinite, checked, explained
from kinemill.train.objective import Objective
from kinemill.train.precision import multiplied, probe
from kinemill.train.training_state import Training

Update = Callable[[Tensor, int], float]  # window numbers (M, B), training step -> loss


class Steps:
    """The updates of a training. How they are made is decided once; the training's state keeps it.

    Args:
        training: what changes.
        objective: of the training, see `objective.Objective`.
        learn: settings.
        progress: who hears how steps are made.
    """

    def __init__(
        self, training: Training, objective: Objective, learn: Learn, progress: Progress
    ) -> None:
        self.training, self.learn, self._progress = training, learn, progress
        self.device = next(training.module.parameters()).device
        self.parts = lowered(training.module, learn.amp) if learn.amp != "off" else []
        self.objective = self._in_precision(objective) if self.parts else objective
        self._update: Update | None = None

    def __call__(self, batch: Tensor, step: int) -> float:
        """Make one step from window numbers (M, B); return the loss, the mean over the members.

        Raises:
            TrainingFailed: loss or gradient is not finite, or memory does not suffice.
        """
        while True:
            try:
                if self._update is None:
                    self._update = self._made(batch)
                return self._update(batch, step)
            except NotFinite as fault:
                about = self.training.module, self.objective, self.learn
                raise explained(fault, *about, (batch, step)) from None
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                windows = math.ceil(batch.shape[1] / self.training.state.pieces)
                failure = out_of_memory(f"step {step}", self.training.module, self.learn, windows)
                if not self.learn.halve_batch or windows == 1:
                    raise failure from error
            self._halve(failure.problem)  # out here, where the failed step holds nothing any more

    def _halve(self, why: str) -> None:
        state = self.training.state
        self.training.optimizer.zero_grad(set_to_none=True)
        make_room()
        state.pieces, state.compiled, self._update = 2 * state.pieces, False, None
        self._progress.log_message(f"{why}: a step is {state.pieces} micro-batches from here on")

    def _in_precision(self, objective: Objective) -> Objective:
        def loss(which: Tensor, step: int, *part: tuple[int, int]) -> Tensor:
            with in_precision(self.parts, self.learn.amp, self.device):
                return objective.loss(which, step, *part)

        return dataclasses.replace(objective, loss=loss)

    def _made(self, batch: Tensor) -> Update:
        """Return what makes one step; a training that goes on does so in the way it began."""
        self._decide(batch)
        state = self.training.state
        how = state.matmul or "highest"
        # One that began alone may go on in several processes, whose gradients are to be added up.
        make = as_program if state.compiled and process_group().size == 1 else one_by_one
        update = make(self.training, self.objective, self.learn)

        def multiplying(batch: Tensor, step: int) -> float:
            with multiplied(how):
                return update(batch, step)

        self._progress.log_message("steps are compiled") if state.compiled else None
        self._progress.log_message("steps multiply in bfloat16") if how == "medium" else None
        return multiplying if how != "highest" else update

    def _decide(self, batch: Tensor) -> None:
        state, learn = self.training.state, self.learn
        if state.matmul is not None:
            return
        piece = batch[:, : math.ceil(batch.shape[1] / state.pieces)].to(self.device)
        state.compiled = is_to_be_compiled(self.training, self.objective, learn, piece)
        if learn.matmul != "auto":
            state.matmul = learn.matmul
        elif learn.deterministic or self.parts or process_group().size > 1:
            # Which is faster is a matter of the clock, and of each process for itself.
            state.matmul = "highest"
        else:
            loss = self.objective.loss
            state.matmul = probe(self.training.module, lambda some: loss(some, 0), piece)


def reason_against(training: Training, objective: Objective, learn: Learn) -> str | None:
    """Return why the update cannot be compiled; None if it can."""
    parts = training.module.modules()
    drops = any(isinstance(part, torch.nn.Dropout) and part.p > 0.0 for part in parts)
    if not isinstance(training.optimizer, torch.optim.AdamW):
        return "of another optimizer than adamw"
    if objective.members > 1:
        return "of an ensemble"
    if drops or not objective.steady:
        return "that changes from step to step (drop-out, horizon schedule, noise, teacher forcing)"
    if training.state.pieces > 1 or process_group().size > 1:
        return "of several micro-batches (learn.accumulate) or processes (compute)"
    if learn.amp != "off":
        return "in mixed precision (learn.amp)"
    return None if has_compiler() else "without a C++ compiler"


def is_to_be_compiled(
    training: Training, objective: Objective, learn: Learn, batch: Tensor
) -> bool:
    """Return whether the updates of a training are compiled, see `learn.compile`.

    Args:
        training: what changes.
        objective: of the training.
        learn: settings.
        batch: window numbers (M, B) to count operations with.

    Raises:
        BadInput: `learn.compile` is on, and it cannot be.
    """
    if learn.compile == "off":
        return False
    against = reason_against(training, objective, learn)
    if learn.compile == "on" and against:
        raise BadInput("learn.compile: on", f"nothing compiles an update {against}", fix="say auto")
    if against or learn.compile == "on":
        return not against
    if has_own_code(learn):  # may do what the compiler does not see, or not accept
        return False
    operations = operations_of(lambda some: objective.loss(some, 0), batch)
    training.module.zero_grad(set_to_none=True)
    return pays(operations, learn.total_steps)


def as_program(training: Training, objective: Objective, learn: Learn) -> Update:
    """Return the compiled update; the first call compiles it."""
    module, optimizer = training.module, training.optimizer
    device = next(module.parameters()).device
    assert isinstance(optimizer, torch.optim.AdamW)  # or `reason_against` would have told
    program = compiled(module, lambda some: objective.loss(some, 0), optimizer, _most(learn))

    def update(batch: Tensor, step: int) -> float:
        rate = learn.schedule.rate(step, learn.optimizer.lr, learn.total_steps)
        loss, norm = program(batch.to(device), rate)
        return checked(loss.item(), norm.item())

    return update


def one_by_one(training: Training, objective: Objective, learn: Learn) -> Update:
    """Return the update in eager mode."""
    module, optimizer, scaler = training.module, training.optimizer, training.scaler
    gradient, own = gradient_of(training, objective), process_group()

    def update(batch: Tensor, step: int) -> float:
        for group in optimizer.param_groups:
            group["lr"] = learn.schedule.rate(step, learn.optimizer.lr, learn.total_steps)
        seed = learn.seed * 1_000_003 + step + own.seed(step)
        torch.manual_seed(seed % 2**63)  # of drop-out
        optimizer.zero_grad(set_to_none=True)
        loss = gradient(batch, step)
        if scaler is None:
            norm = clip(module, _most(learn), objective.members)
            value = checked(loss.item() / objective.members, norm)
            optimizer.step()
            return value
        scaler.unscale_(optimizer)
        norm = clip(module, _most(learn), objective.members)
        # An overflow of the scaled gradient costs this step alone, and halves the scale.
        alone = scaler.get_scale() <= MIN_SCALE
        value = checked(loss.item() / objective.members, norm, norm_too=alone)
        scaler.step(optimizer)
        scaler.update()
        return value

    return update


def gradient_of(training: Training, objective: Objective) -> Callable[[Tensor, int], Tensor]:
    """Return what leaves the gradient of a batch (M, B) in the parameters and returns its loss.

    The gradient of several micro-batches is their mean, weighted by their sizes, which is that of
    the whole batch; noise and sampling are drawn for the whole batch, too. Drop-out is drawn for
    each. With several processes a batch is split among them in the same way.
    """
    device, scaler = next(training.module.parameters()).device, training.scaler
    pieces, own = training.state.pieces, process_group()
    parameters = list(training.module.parameters())

    def whole(batch: Tensor, step: int) -> Tensor:
        loss = objective.loss(batch.to(device), step)
        (loss if scaler is None else scaler.scale(loss)).backward()
        return loss

    def in_pieces(batch: Tensor, step: int) -> Tensor:
        windows, total = batch.shape[1], torch.zeros((), device=device)
        first, part = own.share(batch)
        for piece in part.tensor_split(min(pieces, part.shape[1]), dim=1):
            share = piece.shape[1] / windows
            loss = objective.loss(piece.to(device), step, (first, windows)) * share
            (loss if scaler is None else scaler.scale(loss)).backward()
            first, total = first + piece.shape[1], total + loss.detach()
        return own.add(parameters, total)

    return whole if pieces == 1 and own.size == 1 else in_pieces


def _most(learn: Learn) -> float:
    return learn.grad_clip if learn.grad_clip is not None else math.inf


def clip(module: torch.nn.Module, most: float, members: int) -> float:
    """Scale the gradients of each member down to a norm of `most`; return the largest norm."""
    if members == 1:
        return torch.nn.utils.clip_grad_norm_(module.parameters(), most).item()
    gradients = [value.grad for value in module.parameters() if value.grad is not None]
    norms = torch.stack([part.flatten(1).norm(dim=1) for part in gradients]).norm(dim=0)  # (M,)
    factors = (most / (norms + 1e-6)).clamp(max=1.0)  # 1e-6 as torch has it
    for part in gradients:
        part.mul_(factors.view(-1, *(1 for _ in part.shape[1:])))
    return norms.max().item()
