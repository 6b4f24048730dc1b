"""How late the states answer the actions: estimated and reported; blamed only beyond a bound.

The answer of a mechanical system to a force is an acceleration. The change of every velocity is
regressed on all actions, later and later, beside what the state explains by itself (velocities, and
positions, as sine and cosine where they are angles); the lag with the smallest rest is the delay.
The coefficients at that lag are the gains; under feedback both are rough.
"""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveFloat

from kinemill.spec import CHECKS, Settings, Task
from kinemill.validate.faults import Array, Fault, Values
from kinemill.validate.motion import pairs

_ROWS = 800  # rows that are looked at
_TINY = 1e-9


@CHECKS.register("delay")
class Delay(Settings):
    """Seconds from an action to the acceleration that it explains."""

    judges: ClassVar[Literal["episode"]] = "episode"
    searched: PositiveFloat = Field(default=0.1, description="longest delay looked for, s")
    explains: PositiveFloat = Field(
        default=0.1, description="share of the rest that actions have to explain to be reported"
    )
    longest: PositiveFloat | None = Field(
        default=None, description="s above which an episode is blamed; none: only reported"
    )

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return a fault over all rows of channel -> (n,) where actions act later than allowed."""
        if self.longest is None:
            return []
        late = self.measure(values, task).get("delay_s", 0.0)
        if late <= self.longest:
            return []
        return [
            Fault(
                0,
                len(next(iter(values.values()))),
                None,
                found=f"actions act {late:.3g} s late",
                expected=f"at most {self.longest:g} s",
                fix="look for a slow bus, or raise validate.delay.longest",
            )
        ]

    def measure(self, values: Values, task: Task) -> dict[str, float]:
        """Return `delay_s` and `<action>><velocity>:gain`, unit/s^2 per unit, or nothing."""
        velocities = [velocity for velocity, _ in pairs(task)]
        actions = [name for name in task.actions if np.ptp(values[name]) > _TINY]
        known = {name: values[name][:_ROWS] for name in task.columns}
        lags = max(1, round(self.searched / task.dt))
        rows = len(known[task.columns[0]]) - 1 - lags
        whole = all(bool(np.isfinite(item).all()) for item in known.values())
        if not velocities or not actions or rows < 10 * lags or not whole:
            return {}
        change = np.stack([np.diff(known[name]) / task.dt for name in velocities], axis=1)[lags:]
        size = change.std(axis=0)
        if float(size.min()) <= _TINY:
            return {}
        basis, _ = np.linalg.qr(_regressors(known, task)[lags:-1])
        told = np.stack([known[name] for name in actions], axis=1)
        target = _rest(change / size, basis)
        answers = [_answer(target, told[lags - lag : -1 - lag], basis) for lag in range(lags + 1)]
        rest = np.array([each[0] for each in answers]) / float(np.sum(target**2))
        best = int(np.argmin(rest))
        if rest[best] > 1.0 - self.explains:
            return {}
        gains = answers[best][1] * size
        return {"delay_s": best * task.dt} | {
            f"{action}>{velocity}:gain": float(gains[i, j])
            for i, action in enumerate(actions)
            for j, velocity in enumerate(velocities)
        }


def _answer(target: Array, told: Array, basis: Array) -> tuple[float, Array]:
    """Return what is left of (n, v) when actions (n, a) explain it, and the gains (a, v)."""
    own = _rest(told, basis)
    square = own.T @ own
    product = own.T @ target
    gains = np.linalg.lstsq(square, product, rcond=1e-9)[0]
    return float(np.sum(target**2) - np.sum(gains * product)), gains.astype(np.float64)


def _rest(values: Array, basis: Array) -> Array:
    """Return what an orthonormal basis (n, r) leaves of (n, c)."""
    return values - basis @ (basis.T @ values)


def _regressors(values: Values, task: Task) -> Array:
    """Return what a state explains by itself: 1, velocities, positions, (n, r)."""
    columns = [np.ones(len(values[task.states[0]]))]
    for name in task.states:
        angle = task.channels[name].kind == "angle"
        columns += [np.sin(values[name]), np.cos(values[name])] if angle else [values[name]]
    return np.stack(columns, axis=1)
