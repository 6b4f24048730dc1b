"""Gauss-Newton fit of models with few parameters to rollouts.

Levenberg (1944) and Marquardt (1963): (Jᵀ J + λ D) δ = Jᵀ r, with λ small while steps help. It fits
gray-box and polynomial state-space models: the effects of their parameters differ too much for one
learning rate.

Symbols: N windows, T horizon, S states, P parameters, r residuals, J their derivatives (., P).
"""

import copy
import math
import time
from typing import Any

import torch
from torch import Tensor

from kinemill.errors import BadInput
from kinemill.train.dynamics_settings import GaussNewton
from kinemill.train.sensitivities import Deadline, Rollouts
from kinemill.train.time_limit import OutOfTime

MOST = 1000  # largest number of parameters: the normal equations have as many columns
LEAST = 1e-3  # the fit ends after an iteration with a smaller relative gain
HOPELESS = 1e9  # largest λ tried


def fit_rollouts(
    step: Any, windows: Any, which: Tensor, settings: GaussNewton, seconds: float | None = None
) -> None:
    """Fit the parameters of `step` to its rollouts over the windows `which`, in place, in float64.

    The first fit is over a quarter of the horizon: with poor parameters, long rollouts diverge and
    their gradients do not lead to the minimum.

    Args:
        step: a `train.step.Step`.
        windows: training windows.
        which: numbers of windows, (N,) int64; `settings.windows` of them are used.
        settings: settings of the fit.
        seconds: time limit, s; after it the best parameters so far are set. None: no limit.

    Raises:
        BadInput: The step has more than MOST parameters.
    """
    parameters = [value for value in step.parameters() if value.requires_grad]
    count = sum(value.numel() for value in parameters)
    if count > MOST:
        raise BadInput(
            "learn.gauss_newton",
            f"{count} parameters",
            expected=f"at most {MOST}",
            fix="remove learn.gauss_newton, and train by gradients alone",
        )
    deadline = Deadline(None if seconds is None else time.monotonic() + seconds)
    subset = which[torch.linspace(0, len(which) - 1, min(settings.windows, len(which))).long()]
    window = tuple(part.double() for part in windows.gather(subset.to(windows.values.device)))
    rollouts = Rollouts(copy.deepcopy(step).double(), window, deadline)
    flat = first = torch.cat([value.detach().double().flatten() for value in parameters])
    for horizon in sorted({max(1, windows.horizon // 4), windows.horizon}):
        flat = _Problem(rollouts, horizon, first, settings.ridge).minimize(
            flat, settings.iterations
        )
    with torch.no_grad():
        sizes = [value.numel() for value in parameters]
        for value, values in zip(parameters, flat.split(sizes), strict=True):
            value.copy_(values.view_as(value))


class _Problem:
    """Squared errors of rollouts over a horizon, with a penalty on parameter changes.

    Args:
        rollouts: rollouts of the step.
        horizon: T, steps.
        first: initial parameters, at which the penalty is 0, (P,).
        ridge: weight of the penalty, relative to the number of errors.
    """

    def __init__(self, rollouts: Rollouts, horizon: int, first: Tensor, ridge: float) -> None:
        self._rollouts = rollouts
        self._horizon = horizon
        self._first = first
        self._ridge = ridge

    def minimize(self, flat: Tensor, iterations: int) -> Tensor:
        """Return the parameters (P,) after steps that each decreased the squared errors."""
        try:
            squares = self._squares(flat)
            damping = 1e-2
            for _ in range(iterations):
                earlier = squares
                flat, squares, damping = self._improve(flat, squares, damping)
                if squares > (1.0 - LEAST) * earlier or not math.isfinite(squares):
                    break
        except OutOfTime:
            pass  # `flat` holds the last complete step
        return flat

    def _squares(self, flat: Tensor) -> float:
        errors = self._rollouts.errors(flat, self._horizon)
        pull = self._ridge * errors.numel() * (flat - self._first).square().sum()
        return float(errors.square().sum() + pull)

    def _improve(self, flat: Tensor, squares: float, damping: float) -> tuple[Tensor, float, float]:
        """Return parameters with smaller squares, these squares, and the next damping."""
        square, gradient = self._rollouts.normal(flat, self._horizon)
        pull = self._ridge * self._rollouts.count(self._horizon)
        square.diagonal().add_(pull)
        gradient = gradient + pull * (flat - self._first)
        # Marquardt's D is the diagonal alone. The mean bounds parameters that hardly affect errors.
        scale = square.diagonal() + 1e-3 * square.diagonal().mean()
        while damping <= HOPELESS:
            moved = flat - torch.linalg.solve(square + torch.diag(damping * scale), gradient)
            after = self._squares(moved)
            if after < squares:  # never true for NaN
                return moved, after, max(damping / 4.0, 1e-9)
            damping *= 4.0
        return flat, squares, damping
