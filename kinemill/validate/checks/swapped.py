"""Two velocities that belong to each other's positions: swapped wires or columns."""

from itertools import combinations
from typing import ClassVar, Literal

import numpy as np

from kinemill.task import CHECKS, Task
from kinemill.validate.faults import Array, CheckSettings, Fault, Values
from kinemill.validate.motion import MAX_WINDOWS, integrate_velocity, velocity_pairs

_WINDOW = 0.1  # window of the differences, s
_MIN_CORRELATION = 0.9  # minimum correlation of a velocity with a position
_SCALE = 0.1  # largest relative error of scale against the other position


@CHECKS.register("swapped")
class Swapped(CheckSettings):
    """No velocity follows the position of another, while the other velocity follows its position.

    Swapped positions look the same. It compares differences over `window`, which suppresses
    encoder noise.
    """

    phase: ClassVar[Literal["identity"]] = "identity"

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return a fault over all rows for each swapped velocity of channel -> (n,)."""
        channel_pairs = list(velocity_pairs(task))
        if len(channel_pairs) < 2:
            return []
        integrals, moved, units = self._differences(channel_pairs, values, task)
        if integrals.shape[1] < 20:
            return []
        with np.errstate(invalid="ignore", divide="ignore"):
            power = np.sum(moved**2, axis=1)
            product = np.einsum("im,jm->ij", integrals, moved)  # (velocity, position)
            scale = product / power
            same = product / np.sqrt(np.outer(np.sum(integrals**2, axis=1), power))
        fits = (same > _MIN_CORRELATION) & (np.abs(scale - 1.0) < _SCALE)
        faults: list[Fault] = []
        for i, j in combinations(range(len(channel_pairs)), 2):
            crossed = fits[i, j] and fits[j, i] and units[i] == units[j]
            if crossed and not fits[i, i] and not fits[j, j]:
                first = channel_pairs[i]
                second = channel_pairs[j]
                rows = len(values[first[0]])
                faults.append(_fault(rows, first, second, float(same[i, j])))
                faults.append(_fault(rows, second, first, float(same[j, i])))
        return faults

    def _differences(
        self, channel_pairs: list[tuple[str, str]], values: Values, task: Task
    ) -> tuple[Array, Array, list[str]]:
        """Return integrals of velocities and differences of positions, both (p, m), and units."""
        length = len(values[channel_pairs[0][0]])
        rows = max(1, min(round(_WINDOW / task.dt), length // 4))
        sample = slice(None, None, max(1, length // MAX_WINDOWS))
        begin = np.arange(1, length - rows)[sample]
        integrals = [
            integrate_velocity(values, velocity, begin + rows, task.dt)
            - integrate_velocity(values, velocity, begin, task.dt)
            for velocity, _ in channel_pairs
        ]
        positions = [values[position] for _, position in channel_pairs]
        moved = [x[rows:-1][sample] - x[: -rows - 1][sample] for x in positions]
        units = [task.channels[velocity].unit for velocity, _ in channel_pairs]
        names = [name for pair in channel_pairs for name in pair]
        finite = np.logical_and.reduce([np.isfinite(values[name]) for name in names], axis=0)
        lost = np.concatenate(([0], np.cumsum(~finite)))
        clean = (lost[rows + 1 : -1] == lost[: -rows - 2])[sample]
        return np.stack(integrals)[:, clean], np.stack(moved)[:, clean], units


def _fault(rows: int, pair: tuple[str, str], peer: tuple[str, str], same: float) -> Fault:
    return Fault(
        0,
        rows,
        pair[0],
        actual=f"it follows {peer[1]} (correlation {same:.3f}), and {peer[0]} follows {pair[1]}",
        expected=f"the derivative of {pair[1]}",
        fix=f"swap the `source` of {pair[0]} and {peer[0]}, or of their positions",
    )
