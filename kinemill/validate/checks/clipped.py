"""A signal that is clipped at the range of its sensor, without another channel to compare.

`saturated` compares a position with its velocity. A level, a voltage or a pressure has no such
partner: it counts as clipped if it stays on its limit, or repeats its own extreme value at the top
    of a slope that leads beyond. By default a finding is only a warning: a model can learn that a
    sensor saturates.
"""

from typing import ClassVar, Literal

import numpy as np

from kinemill.task import CHECKS, Task, in_unit
from kinemill.validate.faults import Array, CheckSettings, Fault, Rule, Values, runs
from kinemill.validate.motion import velocity_pairs
from kinemill.validate.signal_stats import rounding

_ROWS = 3  # minimum number of consecutive equal rows
# Distance by which the slopes lead beyond the flat top, as a fraction of the channel's span.
_SHARE = 0.02
_MAX_EQUAL_SHARE = 0.2  # a channel with a larger fraction of equal neighbors is not checked


@CHECKS.register("clipped")
class Clipped(CheckSettings):
    """No state without a derivative stays on its limit or has flattened peaks."""

    phase: ClassVar[Literal["stretch"]] = "stretch"
    channel_keys: ClassVar[tuple[str, ...]] = ("ignore",)
    on_fault: Rule | None = "warn"
    """handling of clipped rows"""
    ignore: list[str] = []
    """channels that are not checked"""

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return the stretches of channel -> (n,) that are clipped."""
        paired = {name for pair in velocity_pairs(task) for name in pair}
        return [
            fault
            for name in task.states
            if name not in {*paired, *self.ignore} and task.channels[name].kind != "quaternion"
            for fault in self._find(name, values[name], task)
        ]

    def _find(self, name: str, values: Array, task: Task) -> list[Fault]:
        if len(values) <= 4 * _ROWS:
            return []
        low = float(values.min())
        high = float(values.max())
        tolerance = rounding(low, high)
        same = np.abs(np.diff(values)) <= tolerance
        if low == high or np.count_nonzero(same) == 0:
            return []
        limits = task.channels[name].limits or (-np.inf, np.inf)
        faults: list[Fault] = []
        for end, limit, sign in ((high, limits[1], 1.0), (low, limits[0], -1.0)):
            flat = [
                (start, stop)
                for start, stop in runs(np.abs(values - end) <= tolerance)
                if stop - start >= _ROWS
            ]
            at_limit = abs(end - limit) <= tolerance
            inside = sum(stop - start - 1 for start, stop in flat)
            if np.count_nonzero(same) - inside > _MAX_EQUAL_SHARE * max(1, len(same) - inside):
                continue  # it also rests at other values
            peaks = [_beyond(values, run, sign) for run in flat]
            if abs(end) <= tolerance and max(peaks, default=0.0) > high - low:
                continue  # it rests at zero, as a brake or a flow does
            faults += [
                _fault(name, run, end, "limit" if at_limit else "end", task)
                for run, peak in zip(flat, peaks, strict=True)
                if peak > _SHARE * (high - low)
            ]
        return faults


def _beyond(values: Array, run: tuple[int, int], sign: float) -> float:
    """Return how far a parabola through the slopes on both sides of a flat top leads beyond it."""
    start, stop = run
    if start < 2 or stop > len(values) - 2:
        return 0.0  # the rows before or after are unknown
    # The step that reaches the top is shortened by clipping.
    up = float(np.max(sign * np.diff(values[start - 2 : start + 1])))
    down = float(np.max(-sign * np.diff(values[stop - 1 : stop + 2])))
    return 0.125 * (stop - start) * (up + down) if min(up, down) > 0.0 else 0.0


def _fault(name: str, run: tuple[int, int], end: float, what: str, task: Task) -> Fault:
    start, stop = run
    unit = task.channels[name].unit
    return Fault(
        start,
        stop,
        name,
        actual=f"{stop - start} rows at its {what}, {end:.6g}{in_unit(unit)}, where its slopes "
        "lead beyond",
        expected="a sensor range that covers all motions of the robot",
        fix="widen the range of the sensor; or name it in validate.clipped.ignore, "
        "or set validate.clipped.on_fault: split to leave these rows out",
    )
