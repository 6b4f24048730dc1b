"""Sensor saturation: the sensor repeats its largest value while the robot moves on.

A robot at a mechanical stop looks the same, so the other channel of the pair must contradict it: a
position that moves faster than the clipped velocity, or a velocity that leads beyond the clipped
position.
"""

from typing import ClassVar, Literal

import numpy as np

from kinemill.task import CHECKS, Task, in_unit
from kinemill.validate.faults import Array, CheckSettings, Fault, Values, runs
from kinemill.validate.motion import velocity_pairs
from kinemill.validate.signal_stats import extremes, resolution, rounding

_Ends = list[tuple[int, int, int]]  # start, stop, sign of stretches at an extreme


_ROWS = 3  # minimum number of consecutive equal rows
_SHARE = 0.02  # minimum contradiction, as a fraction of the channel's span
_MIN_MOTION = 0.02  # minimum contradiction of a position, in its unit
_NOISE = 4.0  # minimum contradiction, as a multiple of the noise of the other channel
# Velocity that a robot at rest may show, in its unit; a velocity that contradicts a position must
# be faster.
_BIAS = 0.04


@CHECKS.register("saturated")
class Saturated(CheckSettings):
    """No state repeats its own extreme value while its partner shows motion beyond it."""

    phase: ClassVar[Literal["stretch"]] = "stretch"

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return the stretches of channel -> (n,) at an extreme that its partner contradicts."""
        faults: list[Fault] = []
        for pair in velocity_pairs(task):
            if len(values[pair[0]]) > _ROWS:
                faults += self._velocity(*pair, values, task)
                faults += self._position(*pair, values, task)
        return faults

    def _velocity(self, name: str, position: str, values: Values, task: Task) -> list[Fault]:
        """Return faults of a velocity for rows at its extreme in which the position is faster."""
        faults: list[Fault] = []
        v, x = values[name], values[position]
        for start, stop, sign in self._at_an_end(values, name):
            last = stop - 1
            faster = sign * ((x[last] - x[start]) / ((last - start) * task.dt) - v[start])
            error = (
                _NOISE * _uncertain(v, x, task.dt) + 2.0 * resolution(values, position) / task.dt
            )
            least = _SHARE * float(np.ptp(v)) + resolution(values, name)
            if faster > least + error / (last - start):
                why = f"the position moves faster by {faster:.3g}"
                faults.append(self._fault(name, start, stop, v, task, why))
        return faults

    def _position(self, velocity: str, name: str, values: Values, task: Task) -> list[Fault]:
        """Return faults of a position for rows at its extreme that the velocity leads beyond."""
        faults: list[Fault] = []
        v, x = values[velocity], values[name]
        bias = _BIAS + resolution(values, velocity)
        least = max(_MIN_MOTION, _SHARE * float(np.ptp(x))) + resolution(values, name)
        for start, stop, sign in self._at_an_end(values, name):
            # At rest the integral contains the velocity's bias, and its noise as a random walk.
            steps = np.arange(1, stop - start + 1)
            path = np.cumsum(sign * v[start:stop]) * task.dt
            error = bias * steps + _NOISE * _uncertain(v, x, task.dt) * np.sqrt(steps)
            beyond = float(np.max(path - error * task.dt))
            if beyond > least:
                why = f"the velocity leads beyond by {np.max(path):.3g}"
                faults.append(self._fault(name, start, stop, x, task, why))
        return faults

    def _at_an_end(self, values: Values, name: str) -> _Ends:
        """Return (start, stop, sign) of repeated extremes of a channel."""
        low, high = extremes(values, name)
        tolerance = rounding(low, high)
        return [
            (start, stop, sign)
            for there, sign in (
                (values[name] >= high - tolerance, 1),
                (values[name] <= low + tolerance, -1),
            )
            for start, stop in runs(there)
            if stop - start >= _ROWS
        ]

    def _fault(
        self, name: str, start: int, stop: int, values: Array, task: Task, why: str
    ) -> Fault:
        unit = task.channels[name].unit
        return Fault(
            start,
            stop,
            name,
            actual=f"{stop - start} rows at its end, {values[start]:.6g}{in_unit(unit)}, while "
            f"{why}{in_unit(unit)}",
            expected="a sensor range that covers all motions of the robot",
            fix="widen the range of the sensor or driver, or exclude such runs",
        )


def _uncertain(v: Array, x: Array, dt: float) -> float:
    """Return the usual |v - dx/dt| of (n,), unit/s."""
    return float(np.median(np.abs(0.5 * (v[1:] + v[:-1]) - np.diff(x) / dt)))
