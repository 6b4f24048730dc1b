"""A velocity that differs from its position's slope row by row: noise, or another quantity.

`velocity` compares both over half a second, in which noise cancels. This check compares rows. A
slope is noisy, too: a position with steps of 2.9 mrad at 500 Hz has a slope error of 1.5 rad/s. A
difference therefore counts only if it is several times the noise of the slope.

Symbols: x position, v velocity, n rows.
"""

from typing import ClassVar, Literal

import numpy as np

from kinemill.task import CHECKS, Task, in_unit
from kinemill.validate.checks.velocity import fit_of
from kinemill.validate.faults import Array, CheckSettings, Fault, Rule, Values
from kinemill.validate.motion import rms, velocity_pairs

_SAMPLE = 20_000  # rows to compare, one stretch in the middle of a long log
# Largest rms difference, relative to the standard deviation of the velocity; real logs in motion
# have at most 0.43.
_SHARE = 0.45
_NOISE = 6.0  # minimum rms difference for a fault, as a multiple of the noise of the slope
_WINDOW = 0.5  # window for the measurement of the lag, s
_ROWS = 50  # minimum number of rows to compare


@CHECKS.register("velocity_noise")
class VelocityNoise(CheckSettings):
    """No velocity differs from its position's slope by a large part of its deviation."""

    phase: ClassVar[Literal["episode"]] = "episode"
    channel_keys: ClassVar[tuple[str, ...]] = ("ignore",)
    on_fault: Rule | None = "warn"
    """handling of such a velocity"""
    ignore: list[str] = []
    """velocity channels that are not checked"""

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return a fault over all rows for each noisy velocity of channel -> (n,)."""
        return [
            fault
            for velocity, position in velocity_pairs(task)
            if velocity not in self.ignore
            and (fault := self._compare(velocity, position, values, task))
        ]

    def _compare(self, name: str, position: str, values: Values, task: Task) -> Fault | None:
        fit = fit_of(values, name, position, _WINDOW, task.dt)
        if fit is None or not 0.5 < fit.scale < 2.0:
            return None  # `velocity` reports it
        middle = slice(max(0, (len(values[name]) - _SAMPLE) // 2), None)
        v = values[name][middle][:_SAMPLE]
        x = values[position][middle][:_SAMPLE]
        off = _difference(v, x, task.dt, fit.late)
        deviation = float(np.nanstd(v))
        if off is None or len(off) < _ROWS:
            return None
        size = rms(off)
        unit = task.channels[name].unit
        if size <= max(_SHARE * deviation, _NOISE * _slope_noise(x, task.dt)):
            return None
        return Fault(
            0,
            len(values[name]),
            name,
            actual=f"differs from the slope of {position} by {size:.3g}{in_unit(unit)} (rms "
            "over rows), "
            f"{size / deviation:.0%} of its own standard deviation",
            expected=f"at most {_SHARE:.0%}, since the rows of {position} are smooth",
            fix="check that the column is this channel's velocity, and its filter; or name it in "
            "validate.velocity_noise.ignore",
        )


def _difference(v: Array, x: Array, dt: float, late: float) -> Array | None:
    """Return v - dx/dt (m,) of known rows, unit/s, at the shift in whole rows that fits best."""
    slope = (x[2:] - x[:-2]) / (2.0 * dt)
    shifts = {int(np.floor(late / dt)), int(np.ceil(late / dt))}
    differences: list[Array] = []
    for shift in shifts:
        measured = v[1:-1]
        measured = measured[max(shift, 0) : len(measured) + min(shift, 0)]
        derived = slope[max(-shift, 0) : len(slope) + min(-shift, 0)]
        off = measured - derived
        differences.append(off[np.isfinite(off)])
    differences = [off for off in differences if len(off)]
    return min(differences, key=rms) if differences else None


def _slope_noise(x: Array, dt: float) -> float:
    """Return the noise of a position's slope, unit/s, from its third differences."""
    bends = np.diff(x, n=3)
    bends = bends[np.isfinite(bends)]
    return rms(bends) / np.sqrt(20.0) / (np.sqrt(2.0) * dt) if len(bends) else 0.0
