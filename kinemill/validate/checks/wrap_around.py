"""A counter that overflowed: a value leaves its range at one end and returns at the other.

The velocity of a real drive drops by 45.1 rad/s above 22.5 rad/s: same magnitude, other sign. The
missing amount is always the whole range, which distinguishes it from a spike.
"""

from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np

from kinemill.task import CHECKS, Task, in_unit
from kinemill.validate.faults import Array, CheckSettings, Fault, Values, runs
from kinemill.validate.motion import velocity_pairs

_MIN_ROWS = 3  # minimum number of rows; a spike lacks an arbitrary amount once
_SHARE = 0.7  # minimum missing amount, as a fraction of the largest value
_RTOL = 0.1  # largest relative difference between the missing amounts


@CHECKS.register("wrap_around")
class WrapAround(CheckSettings):
    """No velocity or position wraps around by its whole range."""

    phase: ClassVar[Literal["identity"]] = "identity"

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return the stretches of channel -> (n,) that lack a whole range."""
        faults: list[Fault] = []
        for velocity, position in velocity_pairs(task):
            v = values[velocity]
            x = values[position]
            if len(v) < 5:
                continue
            faults += self._velocity(velocity, v, np.gradient(x, task.dt), task)
            if task.channels[position].kind != "angle":  # angles are unwrapped during ingest
                faults += self._position(position, v, x, task)
        return faults

    def _velocity(self, name: str, v: Array, slope: Array, task: Task) -> list[Fault]:
        missing = slope - v
        finite = np.isfinite(missing)
        if not finite.any():
            return []
        # The range is at least twice the fastest value that still fits into it.
        overflowed = np.abs(missing) > 2.0 * _SHARE * np.abs(v[finite]).max()
        if not overflowed.any():
            return []
        overflowed &= v * slope < 0.0
        jumps = np.abs(np.diff(v, prepend=v[0], append=v[-1]))
        size = float(np.median(np.abs(missing[overflowed]))) if overflowed.any() else 0.0
        # Both ends of a stretch are jumps of the velocity itself; a position's step leaves it calm.
        whole = [
            (start, stop)
            for start, stop in runs(overflowed)
            if np.nanmax((jumps[start], jumps[stop], 0.0)) > 0.5 * size
        ]
        if (
            np.count_nonzero(overflowed) < _MIN_ROWS
            or not whole
            or not self._same(np.abs(missing[overflowed]))
        ):
            return []
        unit = task.channels[name].unit
        return [
            Fault(
                start,
                stop,
                name,
                actual=f"{v[start]:.4g}{in_unit(unit)} where the position moves with "
                f"{slope[start]:.4g}: "
                f"{size:.4g}{in_unit(unit)} are missing, which suggests an overflow at "
                f"{size / 2:.4g}",
                expected="a velocity that continues beyond the end of its counter",
                fix=f"add {size:.4g}{in_unit(unit)} back when the log is written, or widen the "
                "counter",
            )
            for start, stop in whole
        ]

    def _position(self, name: str, v: Array, x: Array, task: Task) -> list[Fault]:
        step = np.diff(x) - 0.5 * task.dt * (v[1:] + v[:-1])
        finite = np.isfinite(step)
        if not finite.any():
            return []
        span = float(np.nanmax(x) - np.nanmin(x))
        over = np.abs(np.where(finite, step, 0.0)) > max(_SHARE * span, 1e-12)
        whole = runs(over)
        away = all(later[0] - sooner[1] > 3 for sooner, later in pairwise(whole))  # else spikes
        if not whole or not away or not self._same(np.abs(step[over])):
            return []
        size = float(np.median(np.abs(step[over])))
        unit = task.channels[name].unit
        return [
            Fault(
                start,
                stop + 1,
                name,
                actual=f"a step of {step[start]:.4g}{in_unit(unit)}, its whole range: a counter of "
                f"{size:.4g}{in_unit(unit)} that overflowed",
                expected="a position that continues beyond the end of its counter",
                fix=f"unwrap the counter by {size:.4g}{in_unit(unit)} when the log is written",
            )
            for start, stop in whole
        ]

    def _same(self, missing: Array) -> bool:
        """Return whether the missing amounts (m,) are one range."""
        middle = float(np.median(missing))
        return float(np.median(np.abs(missing - middle))) <= _RTOL * middle
