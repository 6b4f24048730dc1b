"""Encoder slip: a position that jumps by an offset and keeps it; the encoder lost counts.

The step is what is left of x[k+1] - x[k] when the velocity's share is taken off. No number of the
robot is needed: the step stands against the noise of the rows around it.
"""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveFloat

from kinemill.task import CHECKS, Task
from kinemill.validate.block_stats import largest_step
from kinemill.validate.faults import Array, CheckSettings, Fault, Values, runs
from kinemill.validate.motion import noise, noise_of, pairs, reach_of


@CHECKS.register("slip")
class Slip(CheckSettings):
    """No position steps further than its velocity and its noise explain."""

    judges: ClassVar[Literal["outlier"]] = "outlier"
    noise: PositiveFloat = Field(
        default=20.0, description="times the noise around it; clean logs stay below 13"
    )
    share: PositiveFloat = Field(
        default=0.04, description="share of the channel's reach (limits, or what it spans)"
    )

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return both rows of every step of channel -> (n,), NaN rows left alone."""
        faults: list[Fault] = []
        for velocity, position in pairs(task):
            x, v, channel = values[position], values[velocity], task.channels[position]
            if len(x) < 4:
                continue
            floor = self.share * reach_of(x, channel)
            if 2.0 * largest_step(values, position) <= floor:
                continue  # no step differs from its neighbors by more
            error = _steps(x, v, task.dt)
            still = self.noise * task.dt * noise_of(values, velocity, position, task.dt)
            floor = max(still, floor)
            over = error > floor
            if not over.any():
                continue
            over &= error > self.noise * noise(error)
            # Two steps close to each other are a spike, there and back.
            faults += [
                Fault(
                    start,
                    stop + 1,
                    position,
                    found=f"a step of {float(error[start:stop].max()):.3g} {channel.unit} that "
                    f"{velocity} does not know of",
                    expected=f"less than {self.noise:g} times the noise, or "
                    f"{floor:.3g} {channel.unit}",
                    fix="look for lost counts or a slipped encoder; the position has another zero "
                    "from here on",
                )
                for start, stop in runs(over)
                if not _returns(error, start, stop)
            ]
        return faults


def _steps(x: Array, v: Array, dt: float) -> Array:
    """Return how far x[k+1] - x[k] (n-1,) is from the velocity's and from its neighbors' step."""
    change = np.diff(x)
    told = np.abs(change - 0.5 * dt * (v[1:] + v[:-1]))
    usual = np.full(len(change), np.nan)
    usual[1:-1] = np.abs(change[1:-1] - 0.5 * (change[2:] + change[:-2]))
    return np.minimum(told, usual)


def _returns(error: Array, start: int, stop: int) -> bool:
    """Tell whether another step as large lies within two rows: then it is a spike's."""
    size = 0.5 * float(error[start:stop].max())
    near = np.concatenate((error[max(0, start - 2) : start], error[stop : stop + 2]))
    return bool(np.any(near > size))
