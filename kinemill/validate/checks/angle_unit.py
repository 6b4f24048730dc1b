"""Degrees instead of radians, or the reverse, in a position or its velocity."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from kinemill.task import CHECKS, Task
from kinemill.task.units import is_derivative, rate_factor
from kinemill.validate.faults import CheckSettings, Fault, Values
from kinemill.validate.motion import find_unit_scales, is_minutes, unit_scale, velocity_pairs

_DEGREE = 57.29578  # degrees in a radian
_CLEARLY = 0.1  # largest relative error with which an undeclared velocity may follow a position
_WINDOW = 0.5  # integration window of the velocity, s
_RTOL = 0.05  # largest relative difference between the scale and 57.3


@CHECKS.register("angle_unit")
class AngleUnit(CheckSettings):
    """A position and its velocity use the same unit of angle.

    If both are in degrees, they agree; `foreign_units` then compares the recording with the other
    recordings of the task.
    """

    phase: ClassVar[Literal["identity"]] = "identity"

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return a fault over all rows of channel -> (n,) for each pair in two units of angle."""
        faults: list[Fault] = []
        declared = find_unit_scales(values, task, _WINDOW, 10.0)
        parents = dict(velocity_pairs(task))
        declared_pairs = [
            (velocity, parents[velocity], scale) for velocity, scale in declared.items()
        ]
        for velocity, position, scale in [*declared_pairs, *self._undeclared(values, task)]:
            unit = task.channels[position].unit
            if unit not in {"rad", "deg"}:
                continue
            large = scale > 1.0
            if abs((scale if large else 1.0 / scale) / _DEGREE - 1.0) > _RTOL or is_minutes(scale):
                continue
            # The one that is 57.3 times too large is in degrees, while the task uses radians.
            wrong = (velocity if large else position) if unit == "rad" else None
            channel = wrong or (position if large else velocity)
            guess = "degrees" if wrong else "radians"
            if wrong == velocity and _read_as_degrees(task, position):
                channel = position
                guess = "radians, but declared as degrees"
            faults.append(
                Fault(
                    0,
                    len(values[channel]),
                    channel,
                    actual=f"{velocity} is {scale:.4g} times the change of {position}: "
                    f"{channel} is in {guess}",
                    expected=task.channels[channel].unit,
                    fix=f"set channels.{channel}.source: {{name: ..., unit: ...}}",
                )
            )
        return faults

    def _undeclared(self, values: Values, task: Task) -> Iterator[tuple[str, str, float]]:
        """Yield (velocity, position, scale) of undeclared pairs of states.

        A draft finds no derivative if one of the two has another unit.
        """
        finite = {name for pair in velocity_pairs(task) for name in pair}
        free = {name: task.channels[name] for name in task.states if name not in finite}
        angles = [name for name, channel in free.items() if channel.kind == "angle"]
        for velocity, channel in free.items():
            for position in angles if channel.kind == "linear" else []:
                if is_derivative(channel.unit, task.channels[position].unit):
                    scale = unit_scale(values, velocity, position, _WINDOW, task.dt, 10.0, _CLEARLY)
                    if scale is not None:
                        in_rate = rate_factor(channel.unit, task.channels[position].unit)
                        yield velocity, position, scale * in_rate


def _read_as_degrees(task: Task, name: str) -> bool:
    return any(source.unit == "deg" for source in task.channels[name].source)
