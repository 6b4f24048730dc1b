"""An action that keeps one value where it otherwise never does: a command that was lost.

Zero, and the ends of its own range, are what a controller holds on purpose; a passive joint is
commanded nothing from first to last. So only an action that changes in nearly every row elsewhere
is blamed for a value that no controller holds.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from kinemill.task import CHECKS, Task, unknown_channels
from kinemill.validate.block_stats import extremes, may_rest, rounding, whole
from kinemill.validate.faults import CheckSettings, Fault, Values, changes, runs


@CHECKS.register("frozen_action")
class FrozenAction(CheckSettings):
    """No action that changes all the time keeps one value for longer than `seconds`."""

    judges: ClassVar[Literal["pattern"]] = "pattern"
    seconds: PositiveFloat = Field(default=0.3, description="longest harmless stillness, s")
    rows: PositiveInt = Field(default=10, description="and rows, for slow logs")
    rests: PositiveFloat = Field(
        default=0.2, le=1.0, description="share of equal neighbors of an action that may be held"
    )
    held: PositiveFloat = Field(
        default=0.3, le=1.0, description="share of rows in long stretches of an action of steps"
    )
    ends: PositiveFloat = Field(
        default=0.01, description="share of its span around zero and its ends that may be held"
    )
    moved: PositiveFloat = Field(
        default=0.1, description="deviation of a state in the stretch, over that in all rows"
    )
    ignore: list[str] = Field(default=[], description="actions that are not checked")

    def problems(self, channels: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
        """Return ignored channels that the task does not have."""
        return unknown_channels(self.ignore, channels, "ignore")

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return the stretches of channel -> (n,) in which an action is frozen."""
        return [
            Fault(
                start,
                stop,
                name,
                found=f"{values[name][start]:.6g} {task.channels[name].unit} for "
                f"{(stop - start - 1) * task.dt:.3g} s, where it otherwise changes in every row",
                expected="a command that goes on changing, or rests at zero or at an end",
                fix="look for lost commands; or name it in validate.frozen_action.ignore",
            )
            for name in task.actions
            if name not in self.ignore
            for start, stop in self._frozen(values, name, task.dt)
            if self._moves(values, start, stop, task)
        ]

    def _moves(self, values: Values, start: int, stop: int, task: Task) -> bool:
        """Tell whether a state moves in a stretch: a robot at rest is told the same for long."""
        return any(
            float(np.std(values[name][start:stop])) > self.moved * float(np.nanstd(values[name]))
            for name in task.states
        )

    def _frozen(self, values: Values, name: str, dt: float) -> list[tuple[int, int]]:
        action, (low, high) = values[name], _range(values, name)
        span, tolerance = high - low, rounding(low, high)
        least = max(self.rows, round(self.seconds / dt))
        if span <= 0.0 or not may_rest(action, least, tolerance):
            return []
        same = np.concatenate([np.abs(part, out=part) <= tolerance for part in changes(action)])
        still = [(start, stop + 1) for start, stop in runs(same)]
        long = [(start, stop) for start, stop in still if stop - start > least]
        inside = sum(stop - start - 1 for start, stop in long)
        others = np.count_nonzero(same) - inside
        habit = inside > self.held * len(same)
        if not long or habit or others > self.rests * max(1, len(same) - inside):
            return []
        held = np.array([0.0, low, high])
        return [
            (start, stop)
            for start, stop in long
            if float(np.abs(held - action[start]).min()) > self.ends * span
        ]


def _range(values: Values, name: str) -> tuple[float, float]:
    """Return least and largest finite value of a channel; both 0 if there is none."""
    if whole(values, name):
        return extremes(values, name)
    known = values[name][np.isfinite(values[name])]
    return (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
