"""Timestamps in another unit, or a log at another rate, than the task declares.

A wrong time scale affects all velocities equally: if every position moves by 5 times its velocity,
the rows are not `dt` apart. With a single joint, only factors between units of time can be
distinguished from a velocity of another scale.
"""

from typing import ClassVar, Literal

import numpy as np

from kinemill.task import CHECKS, Task
from kinemill.validate.faults import CheckSettings, Fault, Values
from kinemill.validate.motion import find_unit_scales, is_minutes, velocity_pairs

_UNITS = {1e3: "ms", 1e6: "us", 1e9: "ns", 60.0: "min", 1e-3: "ms", 1e-6: "us", 1.0 / 60.0: "min"}
_WINDOW = 0.5  # integration window of the velocity, s
_FACTOR = 1.25  # smallest common factor, or its inverse, that is a fault
_RTOL = 0.05  # largest relative difference between the factors of two joints


@CHECKS.register("time_unit")
class TimeUnit(CheckSettings):
    """Velocities and positions agree on the length of a step."""

    phase: ClassVar[Literal["identity"]] = "identity"

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return a fault over all rows of channel -> (n,) if every velocity has one wrong scale."""
        scale_by_velocity = find_unit_scales(values, task, _WINDOW, _FACTOR)
        if not scale_by_velocity or len(scale_by_velocity) < len(list(velocity_pairs(task))):
            return []
        factors = np.array(list(scale_by_velocity.values()))
        middle = float(np.median(factors))
        consistent = bool(np.all(np.abs(factors - middle) < _RTOL * middle))
        unit = next((unit for size, unit in _UNITS.items() if abs(middle / size - 1) < 0.05), None)
        if not consistent or (len(factors) == 1 and unit is None) or _angle(middle):
            return []
        rows = len(next(iter(values.values())))
        guess = f", as if timestamps in {unit} were read in another unit" if unit else ""
        if len(factors) == 1:
            guess += f", or {' or '.join(next(velocity_pairs(task)))} were in one"
        return [
            Fault(
                0,
                rows,
                None,
                actual=f"every velocity is {middle:.4g} times the change of its position per "
                f"{task.dt:g} s{guess}",
                expected=f"rows {task.dt:g} s apart; they seem {task.dt / middle:.3g} s apart",
                fix="set ingest.time_unit, or ingest.rate for a log without timestamps",
            )
        ]


def _angle(factor: float) -> bool:
    """Return whether a factor converts units of angle, which `angle_unit` reports."""
    if is_minutes(factor):
        return False
    return any(abs(max(factor, 1 / factor) / size - 1) < 0.05 for size in (57.29578, 9.549297))
