"""An action that keeps one value although it otherwise changes in every row: lost commands.

A controller holds zero and the ends of the range on purpose, and the command of a passive joint
never changes. The check therefore applies only to actions that change in nearly every other row,
and to values that no controller holds. A target that is held on purpose continues from its value,
while a command that was lost jumps to where it would have been.
"""

from typing import ClassVar, Literal

import numpy as np

from kinemill.task import CHECKS, Seconds, Task, in_unit
from kinemill.validate.faults import Array, CheckSettings, Fault, Values, ends_smoothly
from kinemill.validate.signal_stats import finite_extremes, held_values, rounding

# A value that is held so often, for so many rows, is a neutral position.
NEUTRAL_ROWS = 3
NEUTRAL_STRETCHES = 3
_ROWS = 10  # minimum length of a constant stretch for slow logs, rows
_MAX_EQUAL_SHARE = 0.2  # an action with a larger fraction of equal neighbors is not checked
# An action with a larger fraction of rows in long constant stretches is not checked.
_MAX_CONSTANT_SHARE = 0.3
_END_TOLERANCE = 0.01  # fraction of its span around zero and its ends where an action may be held
_EDGE = 3  # rows by which a rest may begin or end earlier or later than a command
# Minimum standard deviation of a state in the stretch, relative to that in all rows.
_MIN_MOTION = 0.1


@CHECKS.register("frozen_action")
class FrozenAction(CheckSettings):
    """No continuously changing action keeps one value for longer than `seconds`."""

    phase: ClassVar[Literal["pattern"]] = "pattern"
    channel_keys: ClassVar[tuple[str, ...]] = ("ignore",)
    seconds: Seconds = 0.3
    """longest allowed constant stretch, s"""
    ignore: list[str] = []
    """actions that are not checked"""

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return the stretches of channel -> (n,) in which an action is frozen."""
        return [
            Fault(
                start,
                stop,
                name,
                actual=f"{values[name][start]:.6g}{in_unit(task.channels[name].unit)} for "
                f"{(stop - start - 1) * task.dt:.3g} s, although it otherwise changes in every row",
                expected="a command that keeps changing, or is held at zero or at an end of its "
                "range",
                fix="check for lost commands; or name it in validate.frozen_action.ignore",
            )
            for name in task.actions
            if name not in self.ignore
            for start, stop in self._frozen(values, name, task.dt)
            if self._moves(values, start, stop, task)
            and not any(_rests_then(values[state], start, stop) for state in task.states)
        ]

    def _moves(self, values: Values, start: int, stop: int, task: Task) -> bool:
        """Return whether a state moves in a stretch: commands at rest can be constant."""
        return any(
            float(np.std(values[name][start:stop])) > _MIN_MOTION * float(np.nanstd(values[name]))
            for name in task.states
        )

    def _frozen(self, values: Values, name: str, dt: float) -> list[tuple[int, int]]:
        action, (low, high) = values[name], finite_extremes(values, name)
        span = high - low
        tolerance = rounding(low, high)
        least = max(_ROWS, round(self.seconds / dt))
        still = held_values(values, name) if span > 0.0 else []
        long = [(start, stop) for start, stop in still if stop - start > least]
        inside = sum(stop - start - 1 for start, stop in long)
        outside = sum(stop - start - 1 for start, stop in still) - inside
        habit = inside > _MAX_CONSTANT_SHARE * (len(action) - 1)
        if not long or habit or outside > _MAX_EQUAL_SHARE * max(1, len(action) - 1 - inside):
            return []
        allowed = np.array([0.0, low, high])
        starts = [start for start, stop in still if stop - start >= NEUTRAL_ROWS]
        return [
            (start, stop)
            for start, stop in long
            if float(np.abs(allowed - action[start]).min()) > _END_TOLERANCE * span
            and not ends_smoothly(action, start, stop, tolerance)
            and sum(abs(action[at] - action[start]) <= tolerance for at in starts)
            < NEUTRAL_STRETCHES
        ]


def _rests_then(state: Array, start: int, stop: int) -> bool:
    """Return whether a state (n,) rests in these rows, and moves at an end of them.

    Then feedback of it is constant as well.
    """
    inside = state[start + _EDGE : stop - _EDGE]
    around = state[max(0, start - _EDGE) : stop + _EDGE]
    return bool(np.ptp(inside) == 0.0 and np.ptp(around) > 0.0)
