"""NaN diagnosis: find the window and channel that made a loss or gradient not finite.

The batch is bisected. That costs a dozen evaluations after a failure, and nothing in a normal step.

Symbols: M members, B windows of a batch.
"""

import math
from typing import Any

import torch
from torch import Tensor

from kinemill.errors import Diverged
from kinemill.task.learn import Learn
from kinemill.train.objective import Objective, Suspect

_SMALL = 0.01  # of the highest rate so far: below it the learning rate is not the cause


class NotFinite(Exception):
    """The loss of a step or the norm of its gradient is not finite; the weights are unchanged.

    Args:
        loss: loss of the step.
        norm: norm of its gradient.
        step: number of the step; None: the current one.
    """

    def __init__(self, loss: float, norm: float, step: int | None = None) -> None:
        self.loss = loss
        self.norm = norm
        self.step = step


def checked(loss: float, norm: float, *, norm_too: bool = True) -> float:
    """Return the loss.

    Raises:
        NotFinite: The loss is not finite, or, with `norm_too`, the norm of the gradient is not.
    """
    if math.isfinite(loss) and (math.isfinite(norm) or not norm_too):
        return loss
    raise NotFinite(loss, norm)


def explained(
    fault: NotFinite,
    module: torch.nn.Module,
    objective: Objective,
    learn: Learn,
    at: tuple[Tensor, int],
) -> Diverged:
    """Return the error that names the window and channel of a loss that is not finite.

    The module has to have the weights from before the failed step.

    Args:
        fault: loss and norm of the failed step.
        module: module to train.
        objective: objective with the loss function of the step.
        learn: settings of the training.
        at: window numbers (M, B) of the batch, and the step.
    """
    batch, step = at
    suspect = None
    if objective.suspect is not None:
        suspect = objective.suspect(_narrowed(module, objective, batch, step), step)
    where = f"step {step}"
    message = f"loss {fault.loss}, gradient norm {fault.norm}"
    if suspect is not None:
        where += f", channel {suspect.channel}, {suspect.window}"
        message += f": {suspect.message}"
    fix = _advice(suspect, learn, step)
    return Diverged(where, message, expected="finite numbers", fix=fix)


def _advice(suspect: Suspect | None, learn: Any, step: int) -> str:
    if suspect is not None and suspect.in_data:
        return (
            "find it with `kinemill data check`, let `validate` cut or repair it, or name the "
            "recording in dataset.unused"
        )
    base = learn.optimizer.lr
    rates = [learn.schedule.rate(index, base, learn.total_steps) for index in range(step)]
    is_cause = bool(rates) and rates[-1] >= _SMALL * max(rates)
    lower = [f"learn.optimizer.lr ({base:.3g})"] if is_cause else []
    lower += [f"learn.horizon ({learn.horizon})"] if hasattr(learn, "horizon") else []
    advice = [f"lower {' or '.join(lower)}"] if lower else []
    if not is_cause:
        why = f"the rate of {rates[-1]:.3g} is small" if rates else "the weights are still initial"
        advice.append(f"choose a smaller learn.model: {why}")
    return ", or ".join([*advice, "check the data of that window for extreme values"])


def _narrowed(module: torch.nn.Module, objective: Objective, batch: Tensor, step: int) -> Tensor:
    """Return the window (M, 1) that is not finite alone, or the smallest such group of windows."""
    first = 0
    last = batch.shape[1]
    while last - first > 1:
        middle = (first + last) // 2
        halves = ((first, middle), (middle, last))
        bad = [half for half in halves if _is_bad(module, objective, batch, step, half)]
        if not bad:
            break
        first, last = bad[0]
    module.zero_grad(set_to_none=True)
    return batch[:, first:last]


def _is_bad(
    module: torch.nn.Module, objective: Objective, batch: Tensor, step: int, half: tuple[int, int]
) -> bool:
    module.zero_grad(set_to_none=True)
    device = next(module.parameters()).device
    part = batch[:, half[0] : half[1]].to(device)
    loss = objective.loss(part, step, (half[0], batch.shape[1]))
    if not math.isfinite(loss.item()):
        return True
    loss.backward()
    return any(
        not bool(value.grad.isfinite().all())
        for value in module.parameters()
        if value.grad is not None
    )
