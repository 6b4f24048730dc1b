"""Actuator delay: the lag from actions to states, reported; an error only above a bound.

A mechanical system responds to a force with an acceleration. The change of every velocity is
regressed on all actions with increasing lag, and on the state itself (velocities and positions,
angles as sine and cosine). The lag with the smallest residual is the delay. The coefficients at
that lag are the gains. Under feedback both are rough estimates.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from kinemill.task import CHECKS, Seconds, Task
from kinemill.validate.faults import Array, CheckSettings, Fault, Values, memoize
from kinemill.validate.motion import busiest_stretch, velocity_pairs

_ROWS = 800  # rows to evaluate at most, those in which actions change most
_TINY = 1e-9
_SEARCH_RANGE = 0.1  # longest delay to search for, s
_MIN_EXPLAINED = 0.1  # minimum fraction of the residual that actions must explain for a report


@CHECKS.register("delay")
class Delay(CheckSettings):
    """Seconds from an action to the acceleration that it explains."""

    phase: ClassVar[Literal["episode"]] = "episode"
    max_delay: Seconds | None = None
    """delay above which an episode is faulty, s; default: only reported"""

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return a fault over all rows of channel -> (n,) if the delay is above the bound."""
        if self.max_delay is None:
            return []
        late = self.measure(values, task).get("delay_s", 0.0)
        if late <= self.max_delay:
            return []
        return [
            Fault(
                0,
                len(next(iter(values.values()))),
                None,
                actual=f"actions act {late:.3g} s late",
                expected=f"at most {self.max_delay:g} s",
                fix="check for a slow bus, or raise validate.delay.max_delay",
            )
        ]

    def measure(self, values: Values, task: Task) -> dict[str, float]:
        """Return `delay_s` and `<action>><velocity>:gain`, unit/s^2 per unit, or nothing."""
        response = find_response(values, task, _SEARCH_RANGE)
        if response is None or response.explained < _MIN_EXPLAINED:
            return {}
        return {"delay_s": response.rows * task.dt} | {
            f"{action}>{velocity}:gain": float(response.gains[i, j])
            for i, action in enumerate(response.actions)
            for j, velocity in enumerate(response.velocities)
        }


@dataclass(frozen=True)
class Response:
    """Response of velocities to actions `rows` later, after subtracting the effect of the states.

    `commands` (n, a) and accelerations `change` (n, v), unit/s^2, are residuals of a regression on
    the states; `gains` (a, v) are least-squares coefficients, `explained` is their fraction of the
    variance.
    """

    actions: list[str]
    velocities: list[str]
    rows: int
    gains: Array
    explained: float
    commands: Array
    change: Array


def find_response(values: Values, task: Task, search_range: float) -> Response | None:
    """Return the response with the smallest residual within `search_range` s, or None."""
    return memoize(
        values, ("answer", search_range), lambda: _fit_response(values, task, search_range)
    )


def _fit_response(values: Values, task: Task, search_range: float) -> Response | None:
    velocities = [velocity for velocity, _ in velocity_pairs(task)]
    start = busiest_stretch(values, task.actions, _ROWS)
    stretch = {name: values[name][start : start + _ROWS] for name in task.columns}
    actions = [name for name in task.actions if np.ptp(stretch[name]) > _TINY]
    lags = max(1, round(search_range / task.dt))
    rows = len(stretch[task.columns[0]]) - 1 - lags
    whole = all(bool(np.isfinite(item).all()) for item in stretch.values())
    if not velocities or not actions or rows < 10 * lags or not whole:
        return None
    change = np.diff(np.stack([stretch[name] for name in velocities], axis=1), axis=0)[lags:]
    size = change.std(axis=0) / task.dt
    if float(size.min()) <= _TINY:
        return None
    regressors = _regressors(stretch, task)[lags:-1]
    square = regressors.T @ regressors
    inverse = np.linalg.pinv(square, rcond=1e-12, hermitian=True).astype(np.float64)
    target = _rest((change / task.dt / size).T, regressors, inverse).T
    commands = np.stack([stretch[name] for name in actions], axis=1)[:-1]
    later = sliding_window_view(commands, rows, axis=0)[::-1]  # (lags + 1, a, n)
    by_lag = _rest(np.ascontiguousarray(later), regressors, inverse)
    square = by_lag @ by_lag.transpose(0, 2, 1)
    product = by_lag @ target
    gains = np.linalg.pinv(square, rcond=1e-9, hermitian=True) @ product
    explained = np.sum(gains * product, axis=(1, 2)) / float(np.sum(target**2))
    best = int(np.argmax(explained))
    return Response(
        actions,
        velocities,
        best,
        gains[best] * size,
        float(explained[best]),
        by_lag[best].T,
        target * size,
    )


def _rest(values: Array, regressors: Array, inverse: Array) -> Array:
    """Return the residual of (..., n) on (n, r) regressors; `inverse` (r, r) of their Gram matrix.

    It works lag by lag to keep products small: BLAS computes large ones on threads that spin on
    cores needed to check other logs.
    """
    return values - values @ regressors @ inverse @ regressors.T


def _regressors(values: Values, task: Task) -> Array:
    """Return the regressors of a state: 1, velocities, positions, (n, r) of unit size."""
    columns = [np.ones(len(values[task.states[0]]))]
    for name in task.states:
        angle = task.channels[name].kind == "angle"
        columns += [np.sin(values[name]), np.cos(values[name])] if angle else [values[name]]
    stacked = np.stack(columns, axis=1)
    return stacked / np.maximum(np.abs(stacked).max(axis=0), _TINY)
