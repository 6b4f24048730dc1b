"""First rows that hold zeros because nothing was known yet.

A velocity that is worked out from the rows before has none in the first; a message that has not
come yet reads as zero. A robot at rest begins with zeros too, so the rows after have to deny it.
"""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from kinemill.task import CHECKS, Task
from kinemill.validate.faults import Array, CheckSettings, Fault, Rule, Values
from kinemill.validate.motion import pairs
from kinemill.validate.time_lag import lag

_LATE = 0.15  # rows by which differences of rows before come late; 0.5 at their own rate


@CHECKS.register("placeholder")
class Placeholder(CheckSettings):
    """The first rows are not exactly zero in every velocity, or in every state, of a moving robot.

    Denied is that it rests where the step to the first other row is larger than any inside; or
    where the velocities, at least `together` of them, are differences of rows before: of the first
    row there is none, and never again are they all zero.
    """

    judges: ClassVar[Literal["identity"]] = "identity"
    on_fault: Rule | None = Field(default="split", description="the first rows alone are left out")
    rows: PositiveInt = Field(default=3, description="most first rows that are looked at")
    times: PositiveFloat = Field(
        default=3.0, description="the largest step inside that the first one has to have"
    )
    together: PositiveInt = Field(
        default=3, description="velocities that are enough to tell differences from a start at rest"
    )

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return the first rows of channel -> (n,) that are placeholders, once."""
        known = list(pairs(task))
        rows = self._zeros([values[name] for name in task.states])
        if rows and (leaping := self._leaping(task.states, rows, values)):
            return [_fault(rows, leaping, "state", values, task)]
        if rows := self._zeros([values[velocity] for velocity, _ in known]):
            moving = [pair for pair in known if _moves(*pair, rows, values, task.dt)]
            leaping = self._leaping([velocity for velocity, _ in moving], rows, values)
            if leaping is None and self._differences(moving, known, values, task):
                leaping = moving[0][0]
            if leaping:
                return [_fault(rows, leaping, "velocity", values, task)]
        return []

    def _zeros(self, channels: list[Array]) -> int:
        """Return how many first rows are zero in all of channels, each (n,); 0 if too many."""
        if not channels or len(channels[0]) <= self.rows + 4:
            return 0
        first = np.stack([values[: self.rows + 1] for values in channels])
        zero = (first == 0.0).all(axis=0)
        return 0 if zero.all() else int(np.argmin(zero))

    def _leaping(self, names: list[str], rows: int, values: Values) -> str | None:
        """Return the channel that leaps from zero farthest, over what it does later, if any."""
        sizes: dict[str, float] = {}
        for name in names:
            change = np.abs(np.diff(values[name]))
            later = change[rows:]
            later = later[np.isfinite(later)]
            if len(later) > 3 and float(later.max()) > 0.0:
                sizes[name] = float(change[rows - 1]) / float(later.max())
        farthest = max(sizes, key=lambda name: sizes[name], default=None)
        return farthest if farthest is not None and sizes[farthest] > self.times else None

    def _differences(
        self,
        moving: list[tuple[str, str]],
        known: list[tuple[str, str]],
        values: Values,
        task: Task,
    ) -> bool:
        """Tell whether velocities come from rows before, and are zero in the first row alone."""
        if len(moving) < self.together:
            return False
        zero = (np.stack([values[velocity] for velocity, _ in known]) == 0.0).all(axis=0)
        late = [lag(values[v], values[x], task.dt) / task.dt for v, x in moving]
        return np.count_nonzero(zero) == 1 and float(np.median(late)) > _LATE


def _moves(velocity: str, position: str, rows: int, values: Values, dt: float) -> bool:
    """Tell whether a position moves into the first row with a velocity as that row says it does.

    Of a robot that starts from rest in between, it has moved half as far.
    """
    told = dt * float(values[velocity][rows])
    moved = float(values[position][rows] - values[position][rows - 1])
    return told != 0.0 and 0.7 < moved / told < 1.6


def _fault(rows: int, channel: str, what: str, values: Values, task: Task) -> Fault:
    value, unit = float(values[channel][rows]), task.channels[channel].unit
    return Fault(
        0,
        rows,
        channel,
        found=f"every {what} is exactly 0, and then {channel} is {value:.4g} {unit}",
        expected="what the robot did; a robot at rest starts to move slowly",
        fix="nothing to do: the log starts after these rows; or set validate.placeholder.on_fault",
    )
