"""A channel outside of its physical limits: a spike, a wrong unit or a broken sensor."""

from typing import ClassVar, Literal

import numpy as np

from kinemill.task import CHECKS, Task, in_unit
from kinemill.validate.faults import CheckSettings, Fault, Values, runs


@CHECKS.register("limits")
class Limits(CheckSettings):
    """Every row is within the two-sided `limits` of its channel; channels without limits pass."""

    phase: ClassVar[Literal["stretch", "episode"]] = "stretch"

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return the rows of channel -> (n,) that lie outside the channel's limits."""
        return [
            fault
            for name, channel in task.channels.items()
            if channel.limits
            for fault in _outside(name, values[name], channel.limits, channel.unit)
        ]


def _outside(name: str, values: np.ndarray, limits: tuple[float, float], unit: str) -> list[Fault]:
    low, high = limits
    return [
        Fault(
            start,
            stop,
            name,
            actual=f"{_farthest(values[start:stop], low, high):.6g}{in_unit(unit)}",
            expected=f"{low:g} to {high:g}{in_unit(unit)}",
            fix=f"check the unit of the log's column, or widen channels.{name}.limits",
        )
        for start, stop in runs((values < low) | (values > high))
    ]


def _farthest(values: np.ndarray, low: float, high: float) -> float:
    return float(values[np.argmax(np.maximum(low - values, values - high))])
