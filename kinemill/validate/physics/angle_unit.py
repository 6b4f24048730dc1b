"""Degrees where the task says radians, or the other way round: in a position or in its velocity."""

from typing import ClassVar, Literal

from pydantic import Field, PositiveFloat

from kinemill.spec import CHECKS, Task
from kinemill.validate.faults import CheckSettings, Fault, Values
from kinemill.validate.motion import minutes, pairs, scales

_DEGREE = 57.29578  # degrees in a radian


@CHECKS.register("angle_unit")
class AngleUnit(CheckSettings):
    """A position and its velocity count angles in the same unit.

    Both in degrees agree with each other; `foreign_units` then compares the recording with the
    others of the task.
    """

    judges: ClassVar[Literal["identity"]] = "identity"
    window: PositiveFloat = Field(default=0.5, description="s over which velocity is integrated")
    alike: PositiveFloat = Field(
        default=0.05, description="by which the scale may differ from 57.3, relative"
    )

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return a fault over all rows of channel -> (n,) for each pair in two units of angle."""
        faults: list[Fault] = []
        parents = dict(pairs(task))
        for velocity, scale in scales(values, task, self.window, 10.0).items():
            position = parents[velocity]
            unit = task.channels[position].unit
            if unit not in {"rad", "deg"}:
                continue
            large = scale > 1.0
            if abs((scale if large else 1.0 / scale) / _DEGREE - 1.0) > self.alike or minutes(
                scale
            ):
                continue
            # The one that is 57.3 times too large is in degrees, where the task counts in radians.
            wrong = (velocity if large else position) if unit == "rad" else None
            channel = wrong or (position if large else velocity)
            guess = "degrees" if wrong else "radians"
            faults.append(
                Fault(
                    0,
                    len(values[channel]),
                    channel,
                    found=f"{velocity} is {scale:.4g} times the change of {position}: "
                    f"{channel} is in {guess}",
                    expected=task.channels[channel].unit,
                    fix=f"say channels.{channel}.source: {{name: ..., unit: ...}}",
                )
            )
        return faults
