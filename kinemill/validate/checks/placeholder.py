"""First rows that hold zeros because no data had arrived yet.

A velocity computed from earlier rows is undefined in the first row, and a message that has not
arrived reads as zero. A robot at rest also begins with zeros, so later rows must contradict it.
"""

from typing import ClassVar, Literal

import numpy as np

from kinemill.task import CHECKS, Task, in_unit
from kinemill.validate.faults import Array, CheckSettings, Fault, Rule, Values
from kinemill.validate.motion import velocity_pairs
from kinemill.validate.time_lag import lag

_LATE = 0.15  # delay of backward differences, rows; 0.5 at their own rate
_ROWS = 3  # largest number of first rows to check
_STEP_RATIO = 3.0  # minimum size of the first step, as a multiple of the largest later step
# Minimum number of velocities to distinguish backward differences from a start at rest.
_MIN_VELOCITIES = 3


@CHECKS.register("placeholder")
class Placeholder(CheckSettings):
    """The first rows are not exactly zero in every velocity, or in every state, of a moving robot.

    Rest is contradicted if the step to the first other row is larger than any later step. It is
    also contradicted if at least `min_velocities` velocities are backward differences, which the
    first row does not have, and they are never all zero again.
    """

    phase: ClassVar[Literal["identity"]] = "identity"
    on_fault: Rule | None = "split"
    """handling of placeholder rows; split removes only the first rows"""

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return one fault for the first rows of channel -> (n,) that are placeholders."""
        finite = list(velocity_pairs(task))
        rows = self._zeros([values[name] for name in task.states])
        if rows and (leaping := self._leaping(task.states, rows, values)):
            return [_fault(rows, leaping, "state", values, task)]
        if rows := self._zeros([values[velocity] for velocity, _ in finite]):
            moves = [pair for pair in finite if _moves(*pair, rows, values, task.dt)]
            leaping = self._leaping([velocity for velocity, _ in moves], rows, values)
            if leaping is None and self._differences(moves, finite, values, task):
                leaping = moves[0][0]
            if leaping:
                return [_fault(rows, leaping, "velocity", values, task)]
        return []

    def _zeros(self, channels: list[Array]) -> int:
        """Return the number of first rows that are zero in all channels (n,); 0 if too many."""
        if not channels or len(channels[0]) <= _ROWS + 4:
            return 0
        first = np.stack([values[: _ROWS + 1] for values in channels])
        zero = (first == 0.0).all(axis=0)
        return 0 if zero.all() else int(np.argmin(zero))

    def _leaping(self, names: list[str], rows: int, values: Values) -> str | None:
        """Return the channel with the largest relative jump from zero, or None."""
        sizes: dict[str, float] = {}
        for name in names:
            change = np.abs(np.diff(values[name]))
            later = change[rows:]
            later = later[np.isfinite(later)]
            if len(later) > 3 and float(later.max()) > 0.0:
                sizes[name] = float(change[rows - 1]) / float(later.max())
        farthest = max(sizes, key=lambda name: sizes[name], default=None)
        return farthest if farthest is not None and sizes[farthest] > _STEP_RATIO else None

    def _differences(
        self,
        moves: list[tuple[str, str]],
        finite: list[tuple[str, str]],
        values: Values,
        task: Task,
    ) -> bool:
        """Return whether velocities are backward differences, zero only in the first row."""
        if len(moves) < _MIN_VELOCITIES:
            return False
        zero = (np.stack([values[velocity] for velocity, _ in finite]) == 0.0).all(axis=0)
        late = [lag(values[v], values[x], task.dt) / task.dt for v, x in moves]
        return np.count_nonzero(zero) == 1 and float(np.median(late)) > _LATE


def _moves(velocity: str, position: str, rows: int, values: Values, dt: float) -> bool:
    """Return whether a position moves into the first row as the velocity of that row predicts.

    A robot that starts from rest in between moves only half as far.
    """
    predicted = dt * float(values[velocity][rows])
    moved = float(values[position][rows] - values[position][rows - 1])
    return predicted != 0.0 and 0.7 < moved / predicted < 1.6


def _fault(rows: int, channel: str, what: str, values: Values, task: Task) -> Fault:
    value = float(values[channel][rows])
    unit = task.channels[channel].unit
    return Fault(
        0,
        rows,
        channel,
        actual=f"every {what} is exactly 0, and then {channel} is {value:.4g}{in_unit(unit)}",
        expected="the real motion; a robot at rest starts to move slowly",
        fix="no action needed: the log starts after these rows; or set "
        "validate.placeholder.on_fault",
    )
