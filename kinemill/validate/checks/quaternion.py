"""A rotation as a quaternion: unit length, and the same sign from row to row.

q and -q are the same rotation, so a log may switch between them anywhere; a model sees a jump. The
position of the scalar element does not matter here.
"""

from typing import ClassVar, Literal

import numpy as np

from kinemill.task import CHECKS, Ratio, Task, rotations
from kinemill.validate.faults import Array, CheckSettings, Fault, Values, runs

_NOISIEST = 0.1  # largest deviation from unit length of a rotation
_NOISE = 6.0  # alternative tolerance as a multiple of the noise of the length, at most 0.1


@CHECKS.register("quaternion")
class Quaternion(CheckSettings):
    """Every four channels of kind `quaternion` have length 1 and never change sign together.

    By default a change of sign is corrected from its row on, see `on_fault`.
    """

    phase: ClassVar[Literal["identity"]] = "identity"
    length: Ratio = 0.01
    """largest deviation of the length from 1; resampling at 30 Hz causes 0.004 for a robot that
    turns at 10 rad/s"""

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return faults where the four of channel -> (n,) have a wrong length or change sign."""
        faults: list[Fault] = []
        for names in rotations(task.channels):
            elements = np.stack([values[name] for name in names])
            length = np.sqrt(np.sum(elements**2, axis=0))
            off = np.abs(length - 1.0) > self._tolerance(length)
            faults += [_off(names, elements, length, run, self.length) for run in runs(off)]
            finite = np.flatnonzero(np.isfinite(length) & ~off)
            turned = np.sum(elements[:, finite[1:]] * elements[:, finite[:-1]], axis=0) < 0.0
            faults += [_flipped(names, elements, int(row)) for row in finite[1:][turned]]
        return faults

    def _tolerance(self, length: Array) -> float:
        finite = length[np.isfinite(length)]
        if not len(finite):
            return self.length
        deviation = float(np.median(np.abs(finite - np.median(finite))))
        return max(self.length, min(_NOISE * 1.4826 * deviation, _NOISIEST))


def _off(
    names: tuple[str, ...], elements: Array, length: Array, run: tuple[int, int], most: float
) -> Fault:
    """Return the fault of rows in which four elements (4, n) have a wrong `length` (n,)."""
    start, stop = run
    neighbor = start - 1 if start else stop if stop < len(length) else start
    change = np.nan_to_num(np.abs(elements[:, start] - elements[:, neighbor]))
    worst = float(length[start + int(np.argmax(np.abs(length[start:stop] - 1.0)))])
    return Fault(
        start,
        stop,
        names[int(np.argmax(change))],  # the element that changed most
        actual=f"the quaternion {', '.join(names)} has length {worst:.4g}",
        expected=f"1 within {most:g}",
        fix="check for a lost element, or normalize when the log is written; "
        "or raise validate.quaternion.length",
    )


def _flipped(names: tuple[str, ...], elements: Array, row: int) -> Fault:
    def turn_back(values: Values) -> Values:
        return {name: np.concatenate((values[name][:row], -values[name][row:])) for name in names}

    return Fault(
        row,
        row + 1,
        names[int(np.argmax(np.abs(elements[:, row])))],  # the element that jumps farthest
        actual=f"the quaternion {', '.join(names)} continues with its sign changed",
        expected="one sign from row to row: q and -q are the same rotation",
        fix="no action needed: the sign is corrected from here on",
        correct=turn_back,
    )
