"""NaN diagnosis: find the window and channel that made a loss or gradient not finite.

The batch is halved again and again, which takes a dozen evaluations once, instead of something that
every step would have to look at. Symbols: M members, B windows of a batch.
"""

import math
from typing import Any

import torch
from torch import Tensor

from kinemill.errors import Diverged
from kinemill.task.learn import Learn
from kinemill.train.objective import Objective, Suspect

_SMALL = 0.01  # of the highest rate so far: a schedule has brought the rate of the last step down


class NotFinite(Exception):
    """The loss of a step or the norm of its gradient is not finite; the weights are unchanged.

    Args:
        loss: of the step.
        norm: of its gradient.
        step: its number; None: the step that is being made.
    """

    def __init__(self, loss: float, norm: float, step: int | None = None) -> None:
        self.loss, self.norm, self.step = loss, norm, step


def checked(loss: float, norm: float, *, norm_too: bool = True) -> float:
    """Return the loss.

    Raises:
        NotFinite: it is not finite, or the norm of the gradient is not and has to be.
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
    """Return the error with the origin of a fault; weights are as before the step.

    Args:
        fault: the finding.
        module: to train.
        objective: see `objective.Objective`; its loss as the step took it.
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
    rates = [learn.schedule.rate(one, base, learn.total_steps) for one in range(step)]
    is_cause = bool(rates) and rates[-1] >= _SMALL * max(rates)
    lower = [f"learn.optimizer.lr ({base:.3g})"] if is_cause else []
    lower += [f"learn.horizon ({learn.horizon})"] if hasattr(learn, "horizon") else []
    advice = [f"lower {' or '.join(lower)}"] if lower else []
    if not is_cause:
        why = f"a rate of {rates[-1]:.3g} is no cause" if rates else "no step has changed it yet"
        advice.append(f"choose a smaller learn.model: {why}")
    return ", or ".join([*advice, "look at the data for extremes there"])


def _narrowed(module: torch.nn.Module, objective: Objective, batch: Tensor, step: int) -> Tensor:
    """Return the windows (M, 1) that are not finite individually, or groups that are not."""
    first, last = 0, batch.shape[1]
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
