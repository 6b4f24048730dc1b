"""One update of the weights: operation by operation, or as one compiled program."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kinemill.errors import BadInput, TrainingFailed
from kinemill.spec.parts import Learn
from kinemill.train.compiled import compiled, has_compiler, operations_of, pays

Update = Callable[[Tensor, int], float]  # window numbers (M, B), training step -> loss


def reason_against(module: torch.nn.Module, objective: Any, optimizer: Any) -> str | None:
    """Say why the update cannot be compiled; None if it can.

    Args:
        module: what learns.
        objective: of the training, see `loop.Objective`.
        optimizer: torch's, of the module's parameters.
    """
    drops = any(isinstance(part, torch.nn.Dropout) and part.p > 0.0 for part in module.modules())
    if not isinstance(optimizer, torch.optim.AdamW):
        return "of another optimizer than adamw"
    if objective.members > 1:
        return "of an ensemble"
    if drops or not objective.steady:
        return "that changes from step to step (drop-out, growth, noise, sampling)"
    return None if has_compiler() else "without a C++ compiler"


def is_to_be_compiled(
    module: torch.nn.Module, objective: Any, optimizer: Any, learn: Learn, batch: Tensor
) -> bool:
    """Tell whether the updates of a training are compiled, as `learn.compile` says.

    Args:
        module: what learns.
        objective: of the training.
        optimizer: of the module's parameters.
        learn: settings.
        batch: window numbers (M, B) to count operations with.

    Raises:
        BadInput: `learn.compile` is on, and it cannot be.
    """
    if learn.compile == "off":
        return False
    against = reason_against(module, objective, optimizer)
    if learn.compile == "on" and against:
        raise BadInput("learn.compile: on", f"nothing compiles an update {against}", fix="say auto")
    if against or learn.compile == "on":
        return not against
    operations = operations_of(lambda some: objective.loss(some, 0), batch)
    module.zero_grad(set_to_none=True)
    return pays(operations, learn.steps)


def as_program(
    module: torch.nn.Module, objective: Any, optimizer: Any, learn: Learn, device: Any
) -> Update:
    """Return the compiled update; the first call compiles it."""
    program = compiled(module, lambda some: objective.loss(some, 0), optimizer, _most(learn))

    def update(batch: Tensor, step: int) -> float:
        rate = learn.schedule.rate(step, learn.optimizer.lr, learn.steps)
        loss, norm = program(batch.to(device), rate)
        return _finite(step, loss.item(), norm.item())

    return update


def one_by_one(
    module: torch.nn.Module, objective: Any, optimizer: Any, learn: Learn, device: Any
) -> Update:
    """Return the update as torch does it, one operation after the other."""

    def update(batch: Tensor, step: int) -> float:
        for group in optimizer.param_groups:
            group["lr"] = learn.schedule.rate(step, learn.optimizer.lr, learn.steps)
        torch.manual_seed((learn.seed * 1_000_003 + step) % 2**63)  # of drop-out
        optimizer.zero_grad(set_to_none=True)
        loss = objective.loss(batch.to(device), step)
        loss.backward()
        norm = clip(module, _most(learn), objective.members)
        value = _finite(step, loss.item() / objective.members, norm)
        optimizer.step()
        return value

    return update


def _most(learn: Learn) -> float:
    return learn.grad_clip if learn.grad_clip is not None else math.inf


def _finite(step: int, loss: float, norm: float) -> float:
    """Return the loss.

    Raises:
        TrainingFailed: it or the gradient's norm is not finite.
    """
    if math.isfinite(loss) and math.isfinite(norm):
        return loss
    raise TrainingFailed(
        f"step {step}",
        f"loss {loss}, gradient norm {norm}",
        expected="finite numbers",
        fix="lower learn.optimizer.lr or learn.horizon, or look at the data for extremes",
    )


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
