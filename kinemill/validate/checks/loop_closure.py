"""Cyclic motions: the step from the last row back to the first must be continuous.

A clip that is declared as a loop is replayed, and a gap at its seam is a jump in every cycle. By
default a finding is only a warning: the rows themselves are valid.
"""

from typing import ClassVar, Literal

import numpy as np

from kinemill.task import CHECKS, Task, in_unit
from kinemill.validate.faults import Array, CheckSettings, Fault, Rule, Values, steps

# Largest difference between the step at the seam and its neighbors, relative to the largest such
# difference inside the clip.
_KINK = 1.5


@CHECKS.register("loop_closure")
class LoopClosure(CheckSettings):
    """The step from the last row to the first is consistent with its neighbors."""

    phase: ClassVar[Literal["identity"]] = "identity"
    channel_keys: ClassVar[tuple[str, ...]] = ("channels",)
    on_fault: Rule | None = "warn"
    """handling of a clip that does not close"""
    channels: list[str] = []
    """channels that return to their first value; default: no recording is a loop"""

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return a fault in the last row of each channel of channel -> (n,) that does not close."""
        faults: list[Fault] = []
        for name in self.channels:
            seam = _seam(values[name], task.channels[name].kind)
            if seam is None or seam.bend <= _KINK * seam.usual_bend:
                continue
            unit = task.channels[name].unit
            rows = len(values[name])
            faults.append(
                Fault(
                    rows - 1,
                    rows,
                    name,
                    actual=f"the first row is {seam.step:.3g}{in_unit(unit)} from the last "
                    f"({seam.step / seam.largest:.2g} times the largest step inside), "
                    f"{seam.bend:.3g}{in_unit(unit)} different from the adjacent steps",
                    expected=f"a step within {_KINK * seam.usual_bend:.3g}{in_unit(unit)} "
                    "of the "
                    f"adjacent steps",
                    fix="end the clip where it repeats its start, or blend its ends",
                )
            )
        return faults

    def measure(self, values: Values, task: Task) -> dict[str, float]:
        """Return `<channel>:gap` in its unit: from the last row to the first."""
        seams = {name: _seam(values[name], task.channels[name].kind) for name in self.channels}
        return {f"{name}:gap": seam.step for name, seam in seams.items() if seam}


class _Seam:
    """The step from the last row of (n,) to the first, and the steps inside, in its unit."""

    def __init__(self, values: Array, kind: str) -> None:
        change = steps(np.concatenate((values, values[:1])), kind)  # the last one is at the seam
        inside = change[:-1]
        self.step = float(abs(change[-1]))
        self.largest = max(float(np.nanmax(np.abs(inside))), 1e-12)
        self.bend = float(abs(change[-1] - 0.5 * (inside[-1] + inside[0])))
        bends = np.abs(inside[1:-1] - 0.5 * (inside[:-2] + inside[2:]))
        self.usual_bend = max(float(np.nanmax(bends)), 1e-9 * float(np.nanmax(np.abs(values))))


def _seam(values: Array, kind: str) -> _Seam | None:
    """Return the seam of (n,), or None if rows are too few or missing at the ends."""
    ends = np.concatenate((values[:2], values[-2:]))
    inside = np.isfinite(values[:-3] + values[1:-2] + values[2:-1] + values[3:])
    if len(values) < 5 or not np.isfinite(ends).all() or not inside.any():
        return None
    return _Seam(values, kind)
