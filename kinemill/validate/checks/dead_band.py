"""A velocity that is zero until the robot moves fast enough: a dead band of the sensor or driver.

Zero is correct for a robot at rest, so the check uses the position: its speed while the velocity
is exactly zero is compared with the smallest nonzero velocity and with the noise.
"""

from typing import ClassVar, Literal

import numpy as np

from kinemill.task import CHECKS, Task, in_unit
from kinemill.validate.faults import Array, CheckSettings, Fault, Values, runs
from kinemill.validate.motion import slope_error, velocity_pairs

_ROWS = 3  # rows at exactly zero while the position moves, from which the check fails
_NOISE = 5.0  # required movement at zero velocity, as a multiple of the noise
_SHARE = 0.02  # minimum width of a dead band, as a fraction of the highest speed


@CHECKS.register("dead_band")
class DeadBand(CheckSettings):
    """No velocity is exactly zero while its position moves clearly."""

    phase: ClassVar[Literal["identity"]] = "identity"
    channel_keys: ClassVar[tuple[str, ...]] = ("ignore",)
    ignore: list[str] = []
    """velocity channels that are not checked"""

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return a fault over all rows for each velocity of channel -> (n,) with a dead band."""
        faults: list[Fault] = []
        for velocity, position in velocity_pairs(task):
            v = values[velocity]
            x = values[position]
            if velocity in self.ignore or len(v) < 9:
                continue
            width = self._width(v, x, task.dt)
            unit = task.channels[velocity].unit
            if width:
                faults.append(
                    Fault(
                        0,
                        len(v),
                        velocity,
                        actual=f"exactly 0{in_unit(unit)} until {position} moves with "
                        f"{width:.3g}{in_unit(unit)}",
                        expected="small velocities as well",
                        fix="disable the dead band of the driver; or name it in "
                        "validate.dead_band.ignore",
                    )
                )
        return faults

    def _width(self, v: Array, x: Array, dt: float) -> float:
        """Return the half width of the dead band of (n,) against its position (n,), or 0."""
        zero = v == 0.0
        if np.count_nonzero(zero) < _ROWS:
            return 0.0
        error = slope_error(v, x, dt)  # at zero, it is the speed of the position
        finite = np.isfinite(error)
        zero = finite & zero
        moves = finite & (v != 0.0)
        if np.count_nonzero(zero) < _ROWS or not moves.any():
            return 0.0
        noise = float(np.median(error[moves]))
        speeds = np.sort(np.abs(v[moves]))
        width = float(
            speeds[len(speeds) // 50]
        )  # the 2 % quantile: resampling mixes some slower values in
        if width < _SHARE * float(speeds[-1]):
            return 0.0
        denied = zero & (error > max(0.4 * width, _NOISE * noise))
        # A frozen sensor or a late velocity contradicts movement only once.
        often = sum(bool(denied[start:stop].any()) for start, stop in runs(zero)) > 1
        return width if often and np.count_nonzero(denied) >= _ROWS else 0.0
