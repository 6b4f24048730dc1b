"""Stamps in another unit, or a log at another rate, than the task believes.

Time scales every velocity alike: where the position moves by its velocity times 5, in all joints,
the rows are not `dt` apart. With one joint alone only the factors between units of time are told
from a velocity of another scale.
"""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveFloat

from kinemill.task import CHECKS, Task
from kinemill.validate.faults import CheckSettings, Fault, Values
from kinemill.validate.motion import minutes, pairs, scales

_UNITS = {1e3: "ms", 1e6: "us", 1e9: "ns", 60.0: "min", 1e-3: "ms", 1e-6: "us", 1.0 / 60.0: "min"}


@CHECKS.register("time_unit")
class TimeUnit(CheckSettings):
    """Velocities and positions agree on how long a step is."""

    judges: ClassVar[Literal["identity"]] = "identity"
    window: PositiveFloat = Field(default=0.5, description="s over which velocity is integrated")
    factor: PositiveFloat = Field(
        default=1.25, gt=1.0, description="common factor, either way, that is no longer a tolerance"
    )
    alike: PositiveFloat = Field(
        default=0.05, description="by which the factors of two joints may differ, relative"
    )

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return a fault over all rows of channel -> (n,) if every velocity has one wrong scale."""
        found = scales(values, task, self.window, self.factor)
        if not found or len(found) < len(list(pairs(task))):
            return []
        factors = np.array(list(found.values()))
        middle = float(np.median(factors))
        alike = bool(np.all(np.abs(factors - middle) < self.alike * middle))
        unit = next((unit for size, unit in _UNITS.items() if abs(middle / size - 1) < 0.05), None)
        if not alike or (len(factors) == 1 and unit is None) or _angle(middle):
            return []
        rows = len(next(iter(values.values())))
        guess = f", as if stamps in {unit} were read as another unit" if unit else ""
        return [
            Fault(
                0,
                rows,
                None,
                found=f"every velocity is {middle:.4g} times the change of its position per "
                f"{task.dt:g} s{guess}",
                expected=f"rows {task.dt:g} s apart; they seem {task.dt / middle:.3g} s apart",
                fix="set ingest.time_unit, or ingest.rate for a log without stamps",
            )
        ]


def _angle(factor: float) -> bool:
    """Tell whether a factor is one between units of angle: those are told elsewhere."""
    if minutes(factor):
        return False
    return any(abs(max(factor, 1 / factor) / size - 1) < 0.05 for size in (57.29578, 9.549297))
