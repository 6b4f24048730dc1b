"""A rotation as four numbers: of length 1, and of one sign from row to row.

q and -q are the same rotation, so that a log may change from one to the other anywhere; to a model
that is a jump. Which of the four is the scalar does not matter here.
"""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveFloat

from kinemill.task import CHECKS, Task
from kinemill.task.channels import rotations
from kinemill.validate.faults import Array, CheckSettings, Fault, Values, runs

_NOISIEST = 0.1  # off the length 1, of what still is a rotation


@CHECKS.register("quaternion")
class Quaternion(CheckSettings):
    """Every four channels of kind `quaternion` have length 1 and never change sign together.

    A change of sign is put right from its row on, unless `on_fault` says otherwise.
    """

    judges: ClassVar[Literal["identity"]] = "identity"
    length: PositiveFloat = Field(
        default=0.01,
        description="by which the length may differ from 1; resampling at 30 Hz takes 0.004 of a "
        "robot that turns with 10 rad/s",
    )
    noise: PositiveFloat = Field(
        default=6.0, description="or times the length's own noise, 0.1 at most"
    )

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return where the four of channel -> (n,) have another length, or change their sign."""
        faults: list[Fault] = []
        for names in rotations(task.channels):
            elements = np.stack([values[name] for name in names])
            length = np.sqrt(np.sum(elements**2, axis=0))
            off = np.abs(length - 1.0) > self._tolerance(length)
            faults += [_off(names, elements, length, run, self.length) for run in runs(off)]
            known = np.flatnonzero(np.isfinite(length) & ~off)
            turned = np.sum(elements[:, known[1:]] * elements[:, known[:-1]], axis=0) < 0.0
            faults += [_flipped(names, elements, int(row)) for row in known[1:][turned]]
        return faults

    def _tolerance(self, length: Array) -> float:
        known = length[np.isfinite(length)]
        if not len(known):
            return self.length
        spread = float(np.median(np.abs(known - np.median(known))))
        return max(self.length, min(self.noise * 1.4826 * spread, _NOISIEST))


def _off(
    names: tuple[str, ...], elements: Array, length: Array, run: tuple[int, int], most: float
) -> Fault:
    """Return the fault of rows in which four elements (4, n) have another `length` (n,)."""
    start, stop = run
    beside = start - 1 if start else stop if stop < len(length) else start
    change = np.nan_to_num(np.abs(elements[:, start] - elements[:, beside]))
    worst = float(length[start + int(np.argmax(np.abs(length[start:stop] - 1.0)))])
    return Fault(
        start,
        stop,
        names[int(np.argmax(change))],  # the element that changed most
        found=f"the quaternion {', '.join(names)} has length {worst:.4g}",
        expected=f"1 within {most:g}",
        fix="look for a lost element, or normalize where the log is written; "
        "or raise validate.quaternion.length",
    )


def _flipped(names: tuple[str, ...], elements: Array, row: int) -> Fault:
    def turn_back(values: Values) -> Values:
        return {name: np.concatenate((values[name][:row], -values[name][row:])) for name in names}

    return Fault(
        row,
        row + 1,
        names[int(np.argmax(np.abs(elements[:, row])))],  # the element that jumps farthest
        found=f"the quaternion {', '.join(names)} goes on with its sign changed",
        expected="one sign from row to row: q and -q are the same rotation",
        fix="nothing to do: the sign is changed back from here on",
        put_right=turn_back,
    )
