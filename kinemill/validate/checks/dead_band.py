"""A velocity that is zero until the robot moves fast enough: a dead band of sensor or driver.

Zero is an honest answer of a robot at rest, so the position decides: how fast it moves while the
velocity says exactly zero, against the slowest that the velocity otherwise shows and its noise.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from kinemill.task import CHECKS, Task, unknown_channels
from kinemill.validate.faults import Array, CheckSettings, Fault, Values, runs
from kinemill.validate.motion import derivative, pairs, unlike_slope


@CHECKS.register("dead_band")
class DeadBand(CheckSettings):
    """No velocity is exactly zero while its position moves faster than the smallest it shows."""

    judges: ClassVar[Literal["identity"]] = "identity"
    rows: PositiveInt = Field(
        default=3, description="at exactly zero while the position moves that make a finding"
    )
    noise: PositiveFloat = Field(
        default=5.0, description="times the noise that the movement at zero has to have"
    )
    share: PositiveFloat = Field(
        default=0.02, description="of the fastest velocity that a dead band has to hide"
    )
    ignore: list[str] = Field(default=[], description="velocity channels that are not checked")

    def problems(self, channels: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
        """Return ignored channels that the task does not have."""
        return unknown_channels(self.ignore, channels, "ignore")

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return a fault over all rows for each velocity of channel -> (n,) with a dead band."""
        faults: list[Fault] = []
        for velocity, position in pairs(task):
            v, x = values[velocity], values[position]
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
                        found=f"exactly 0 {unit} until {position} moves with {width:.3g} {unit}",
                        expected="small velocities as well",
                        fix="switch the dead band of the driver off; or name it in "
                        "validate.dead_band.ignore",
                    )
                )
        return faults

    def _width(self, v: Array, x: Array, dt: float) -> float:
        """Return the half width of the dead band of (n,) against its position (n,), or 0."""
        zero = v == 0.0
        if np.count_nonzero(zero) < self.rows:
            return 0.0
        slope = derivative(x, dt)
        known = np.isfinite(v) & np.isfinite(slope)
        zero, moving = known & zero, known & (v != 0.0)
        if np.count_nonzero(zero) < self.rows or not moving.any():
            return 0.0
        noise = float(np.median(unlike_slope(v, x, dt)[moving]))
        speeds = np.sort(np.abs(v[moving]))
        width = float(speeds[len(speeds) // 50])  # the slowest but for what resampling mixed
        if width < self.share * float(speeds[-1]):
            return 0.0
        denied = zero & (np.abs(slope) > max(0.4 * width, self.noise * noise))
        # A sensor that froze at zero, or a velocity that is late, denies movement once.
        often = sum(bool(denied[start:stop].any()) for start, stop in runs(zero)) > 1
        return width if often and np.count_nonzero(denied) >= self.rows else 0.0
