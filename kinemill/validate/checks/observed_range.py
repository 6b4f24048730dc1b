"""A channel outside of the range that other logs showed: new motion, another unit, or a fault.

A range seen in some logs is no physical limit: a robot that was pulled one way may be pulled the
other way tomorrow. The finding is a warning until a user sets `limits`.
"""

from typing import ClassVar, Literal

import numpy as np

from kinemill.task import CHECKS, Task, in_unit
from kinemill.validate.faults import Array, CheckSettings, Fault, Rule, Values


@CHECKS.register("observed_range")
class ObservedRange(CheckSettings):
    """Every row is within the `observed_range` of its channel; channels without one pass."""

    phase: ClassVar[Literal["episode"]] = "episode"
    on_fault: Rule | None = "warn"
    """handling of rows outside the range"""

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return one fault for each channel -> (n,) that leaves its range, over all these rows."""
        return [
            fault
            for name, channel in task.channels.items()
            if channel.observed_range
            and (fault := _outside(name, values[name], channel.observed_range, channel.unit))
        ]


def _outside(name: str, values: Array, ends: tuple[float, float], unit: str) -> Fault | None:
    low, high = ends
    rows = np.flatnonzero((values < low) | (values > high))
    if not len(rows):
        return None
    outside = values[rows]
    reached = float(outside[np.argmax(np.maximum(low - outside, outside - high))])
    return Fault(
        int(rows[0]),
        int(rows[-1]) + 1,
        name,
        actual=f"{reached:.6g}{in_unit(unit)} at the farthest of {len(rows)} rows",
        expected=f"{low:g} to {high:g}{in_unit(unit)}, the range in the logs of the draft",
        fix=f"widen channels.{name}.observed_range if the motion is new, or state "
        f"channels.{name}.limits",
    )
