"""Gauss-Newton fit of models with few parameters to rollouts.

Levenberg (1944) and Marquardt (1963): (Jᵀ J + λ D) δ = Jᵀ r, with λ small while steps help. The
way of gray boxes and of polynomial state-space models, whose parameters differ too much in their
reach for one learning rate.
Symbols: B windows, T horizon, S states, P parameters, r residuals, J their slopes (., P).
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, jvp, vmap

from kinemill.errors import BadInput
from kinemill.train.dynamics_settings import GaussNewton

MOST = 1000  # parameters: J has as many columns
AT_ONCE = 64  # columns of J that are made together, bounds memory
LEAST = 1e-3  # relative gain of an iteration below which it is over
HOPELESS = 1e9  # λ at which no step helps


class _Rollout(torch.nn.Module):
    """Errors of a step's rollouts in standard deviations of the channels, flat."""

    def __init__(self, step: Any) -> None:
        super().__init__()
        self.step = step

    def forward(self, window: tuple[Tensor, ...], horizon: int) -> Tensor:
        states, past_actions, actions, truth = window
        values = self.step.rollout(states, past_actions, actions[:, :horizon])
        missed = self.step.wrap(values - truth[:, :horizon])
        return (missed / self.step.state_std).flatten()


def fit_rollouts(step: Any, windows: Any, which: Tensor, settings: GaussNewton) -> None:
    """Fit the parameters of `step` to its rollouts over the windows `which`, in place, in float64.

    First over a quarter of the horizon, because far from the truth long rollouts lead astray.

    Raises:
        BadInput: the step has too many parameters for this.
    """
    parameters = {name: value for name, value in step.named_parameters() if value.requires_grad}
    count = sum(value.numel() for value in parameters.values())
    if count > MOST:
        raise BadInput(
            "learn.gauss_newton",
            f"{count} parameters",
            expected=f"at most {MOST}",
            fix="leave it out, and learn by gradients alone",
        )
    subset = which[torch.linspace(0, len(which) - 1, min(settings.windows, len(which))).long()]
    window = tuple(part.double() for part in windows.gather(subset.to(windows.values.device)))
    rollout = _Rollout(copy.deepcopy(step).double())
    start = {f"step.{name}": value.detach().double() for name, value in parameters.items()}
    flat = first = torch.cat([value.flatten() for value in start.values()])

    def named(flat: Tensor) -> dict[str, Tensor]:
        parts = flat.split([value.numel() for value in start.values()])
        return {
            name: part.view_as(value)
            for (name, value), part in zip(start.items(), parts, strict=True)
        }

    for horizon in sorted({max(1, windows.horizon // 4), windows.horizon}):

        def residuals(flat: Tensor, horizon: int = horizon) -> Tensor:
            missed = functional_call(rollout, named(flat), (window, horizon))
            pull = (settings.ridge * missed.numel()) ** 0.5
            return torch.cat([missed, pull * (flat - first)]) if pull else missed

        flat = _minimize(residuals, flat, settings.iterations)
    with torch.no_grad():
        for value, values in zip(parameters.values(), named(flat).values(), strict=True):
            value.copy_(values)


def _minimize(residuals: Callable[[Tensor], Tensor], flat: Tensor, iterations: int) -> Tensor:
    """Return the parameters (P,) after steps that each decreased the squared residuals."""
    with torch.enable_grad():
        damping, error = 1e-2, residuals(flat)
        for _ in range(iterations):
            slopes = _slopes(residuals, flat)
            square, down = slopes.T @ slopes, slopes.T @ error
            # What hardly shows in the errors may not run away: all are held by the mean a little.
            scale = square.diagonal() + 1e-3 * square.diagonal().mean()
            squares = float(error.square().sum())
            while True:
                moved = flat - torch.linalg.solve(square + torch.diag(damping * scale), down)
                after = residuals(moved)
                if float(after.square().sum()) < squares:  # never true for NaN
                    break
                damping *= 4.0
                if damping > HOPELESS:
                    return flat
            flat, error, damping = moved, after, max(damping / 4.0, 1e-9)
            if float(error.square().sum()) > (1.0 - LEAST) * squares:
                return flat
    return flat


def _slopes(residuals: Callable[[Tensor], Tensor], flat: Tensor) -> Tensor:
    """Return J by forward mode, because residuals outnumber parameters."""

    def along(direction: Tensor) -> Tensor:
        return jvp(residuals, (flat,), (direction,))[1]

    unit = torch.eye(len(flat), dtype=flat.dtype, device=flat.device)
    return vmap(along, chunk_size=AT_ONCE)(unit).T
