"""Acceleration and rate: a channel that changes faster than possible, for longer than a spike.

Most robots need no setting: a velocity with limits cannot cross its range immediately.
"""

from typing import ClassVar, Literal

import numpy as np

from kinemill.task import CHECKS, PositiveQuantity, Task, in_unit
from kinemill.validate.faults import CheckSettings, Fault, Values, runs, steps
from kinemill.validate.signal_stats import largest_step

# Shortest time in which a velocity can cross its limits, s: the bound of velocities not in
# `bounds`; real joints need 0.08 or more.
_CROSSING = 0.02
_ROWS = 3  # number of steps over which the rate is computed


@CHECKS.register("rate")
class Rate(CheckSettings):
    """Largest |dx/dt| of a channel over `rows` steps: accelerations of velocities, action rates."""

    phase: ClassVar[Literal["stretch"]] = "stretch"
    channel_keys: ClassVar[tuple[str, ...]] = ("bounds",)
    bounds: dict[str, PositiveQuantity] = {}
    """largest rate by channel, unit/s"""

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return the stretches of channel -> (n,) that change too fast."""
        return [
            fault
            for name, bound in self._all(task)
            for fault in self._find(name, bound, values, task)
        ]

    def _all(self, task: Task) -> list[tuple[str, float]]:
        limited = {
            name: (channel.limits[1] - channel.limits[0]) / _CROSSING
            for name, channel in task.channels.items()
            if channel.limits and channel.derivative_of
        }
        return list({**limited, **self.bounds}.items())

    def _find(self, name: str, bound: float, values: Values, task: Task) -> list[Fault]:
        channel = task.channels[name]
        if len(values[name]) <= _ROWS or largest_step(values, name) <= bound * task.dt:
            return []
        change = steps(values[name], channel.kind)
        total = np.concatenate(([0.0], np.cumsum(change)))
        rate = np.abs(total[_ROWS:] - total[:-_ROWS]) / (_ROWS * task.dt)
        return [
            Fault(
                start,
                stop + _ROWS,
                name,
                actual=f"{float(rate[start:stop].max()):.4g}{in_unit(channel.unit)} per s over "
                f"{_ROWS} steps",
                expected=f"at most {bound:.4g}{in_unit(channel.unit)} per s",
                fix=f"check the log for lost samples, or set validate.rate.bounds.{name}",
            )
            for start, stop in runs(rate > bound)
        ]
