"""Encoder slip: a position that jumps by an offset and keeps it; the encoder lost counts.

The step is x[k+1] - x[k] minus the motion that the velocity explains. It is compared with the
noise of the surrounding rows, so it needs no parameter of the robot.
"""

from typing import ClassVar, Literal

import numpy as np

from kinemill.task import CHECKS, Task, in_unit
from kinemill.validate.faults import Array, CheckSettings, Fault, Values, runs
from kinemill.validate.motion import half_range, local_noise, noise_of_velocity, velocity_pairs
from kinemill.validate.signal_stats import largest_step, resolution

_NOISE = 20.0  # minimum step, as a multiple of the surrounding noise; clean logs stay below 13
_SHARE = 0.04  # minimum step, as a fraction of the channel's range (limits, or its span)


@CHECKS.register("slip")
class Slip(CheckSettings):
    """No position steps farther than its velocity and its noise explain."""

    phase: ClassVar[Literal["outlier"]] = "outlier"

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return both rows of every step of channel -> (n,), ignoring NaN rows."""
        faults: list[Fault] = []
        for velocity, position in velocity_pairs(task):
            x = values[position]
            v = values[velocity]
            channel = task.channels[position]
            if len(x) < 4:
                continue
            floor = _SHARE * half_range(x, channel)
            if 2.0 * largest_step(values, position) <= floor:
                continue  # no step differs from its neighbors by more
            error = _steps(x, v, task.dt)
            still = _NOISE * task.dt * noise_of_velocity(values, velocity, position, task.dt)
            floor = max(still, floor, 2.0 * resolution(values, position))
            over = error > floor
            if not over.any():
                continue
            # The velocity of either row explains a step if it changes at once.
            over &= error > floor + 0.5 * task.dt * np.abs(np.diff(v))
            over &= error > _NOISE * local_noise(error)
            # Two opposite steps close to each other are a spike.
            faults += [
                Fault(
                    start,
                    stop + 1,
                    position,
                    actual=f"a step of "
                    f"{float(error[start:stop].max()):.3g}{in_unit(channel.unit)} that "
                    f"{velocity} does not show",
                    expected=f"less than {_NOISE:g} times the noise, or "
                    f"{floor:.3g}{in_unit(channel.unit)}",
                    fix="check for lost counts or a slipped encoder; the zero of the position "
                    "differs from here on",
                )
                for start, stop in runs(over)
                if not _returns(x, v, (start, stop), float(error[start:stop].max()), task.dt)
            ]
        return faults


def _steps(x: Array, v: Array, dt: float) -> Array:
    """Return how far x[k+1] - x[k] (n-1,) is from the velocity's and from its neighbors' step."""
    change = np.diff(x)
    unexplained = np.abs(change - 0.5 * dt * (v[1:] + v[:-1]))
    usual = np.full(len(change), np.nan)
    usual[1:-1] = np.abs(change[1:-1] - 0.5 * (change[2:] + change[:-2]))
    return np.minimum(unexplained, usual)


def _returns(x: Array, v: Array, steps: tuple[int, int], size: float, dt: float) -> bool:
    """Return whether steps are undone within two rows, which makes them a spike."""
    rows = slice(max(0, steps[0] - 2), steps[1] + 3)
    off = np.diff(x[rows]) - 0.5 * dt * (v[rows][1:] + v[rows][:-1])
    return bool(abs(np.nansum(off)) < 0.5 * size)
