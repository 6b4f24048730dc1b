"""A few rows that differ from their neighbors: a spike on the bus or a bad timestamp.

A value is compared with the mean of its neighbors, and with the prediction of the paired position
or velocity. It must differ from both by more than the noise of the surrounding rows and a fraction
of the channel's span. A hard stop or a noisy sensor is therefore no fault. A state without such a
pair has a spike if few rows stand out of their neighbors many times farther than all others do.
"""

from typing import ClassVar, Literal

import numpy as np

from kinemill.task import CHECKS, Task, in_unit
from kinemill.validate.faults import Array, CheckSettings, Fault, Values, runs
from kinemill.validate.motion import (
    half_range,
    local_noise,
    noise_of_velocity,
    slope_error,
    velocity_pairs,
)
from kinemill.validate.signal_stats import largest_step, resolution

_REACH = (1, 2)  # rows to each side: for spikes of one and two rows
_PEAK = 0.7  # fraction of the largest surrounding error: a spike gives its neighbors half its error
_NOISE = 12.0  # minimum height, as a multiple of the surrounding noise; clean logs stay below 11
_BEND = 0.6  # largest error of the line from one side, as a fraction of that of both sides
_SHARE = 0.04  # minimum height, as a fraction of the channel's range (limits, or its span)
_TURN = 0.25  # share of a peak that a turn leaves
_ROWS_PER_SPIKE = 500  # rows for each row of a state without a pair that may be a spike
_STEP = (
    0.3  # of its deviation by which another channel steps, when an impact or a switch is no spike
)
_UNUSUAL = 3.0  # the same, as a multiple of its usual change
_FAR = 20.0  # least height of such a row, as a multiple of that of the next ones


@CHECKS.register("spike")
class Spike(CheckSettings):
    """No state differs from its neighbors by more than its noise explains."""

    phase: ClassVar[Literal["outlier"]] = "outlier"

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return the rows of channel -> (n,) with a spike, ignoring NaN rows."""
        if len(next(iter(values.values()))) < 4 * max(_REACH) + 1:
            return []
        faults: list[Fault] = []
        for velocity, position in velocity_pairs(task):
            v = values[velocity]
            x = values[position]
            floor = self._floor(velocity, values, task)
            if floor is not None:
                floor = max(floor, resolution(values, position) / task.dt)
                unlike = slope_error(v, x, task.dt)
                errors = [np.minimum(_out_of_line(v, reach), unlike) for reach in _REACH]
                spikes = self._find(velocity, errors, floor, task)
                faults += [spike for spike in spikes if not _bends(v, spike)]
            floor = self._floor(position, values, task)
            if floor is not None:
                errors = [_bent(x, v, reach, task.dt) for reach in _REACH]
                still = _NOISE * task.dt * noise_of_velocity(values, velocity, position, task.dt)
                spikes = self._find(position, errors, max(still, floor), task)
                faults += [spike for spike in spikes if not _moves(x, v, spike, task.dt)]
        paired = {name for pair in velocity_pairs(task) for name in pair}
        for name in task.states:
            if name not in paired and task.channels[name].kind != "quaternion":
                faults += self._find_alone(name, values, task)
        return faults

    def _find_alone(self, name: str, values: Values, task: Task) -> list[Fault]:
        """Return the rows of a state without a pair that stand out, while no channel steps."""
        floor = self._floor(name, values, task)
        if floor is None:
            return []
        height = np.fmax(*(_peak(values[name], reach) for reach in _REACH))
        spike_rows = max(2, len(height) // _ROWS_PER_SPIKE)
        usual = float(np.partition(height, -spike_rows - 1)[-spike_rows - 1])
        unit = in_unit(task.channels[name].unit)
        return [
            _fault(
                name,
                (start, stop),
                f"{float(height[start:stop].max()):.3g}{unit} off its neighbors, where other rows "
                f"are at most {usual:.2g}",
                f"less than {_FAR:g} times that, or {floor:.3g}{unit}",
            )
            for start, stop in runs(height > max(_FAR * usual, floor))
            if not any(_steps(values[other], start, stop) for other in values if other != name)
        ]

    def _floor(self, name: str, values: Values, task: Task) -> float | None:
        """Return the minimum height of a spike, or None if no step is that large."""
        floor = _SHARE * half_range(values[name], task.channels[name])
        if max(_REACH) * largest_step(values, name) <= floor:
            return None
        return max(floor, 2.0 * resolution(values, name))

    def _find(self, name: str, errors: list[Array], floor: float, task: Task) -> list[Fault]:
        """Return where the largest of `errors`, each (n,), is more than noise and `floor`."""
        unit = in_unit(task.channels[name].unit)
        error = np.fmax(*errors)
        over = error > floor
        if not over.any():
            return []
        sizes = [local_noise(error) for error in errors]
        out = [error > _NOISE * size for error, size in zip(errors, sizes, strict=True)]
        over &= np.logical_or(*out) & (error > _PEAK * _around(error))
        return [
            _fault(
                name,
                (start, stop),
                f"{float(error[start:stop].max()):.3g}{unit} off its neighbors, where noise is "
                f"{float(sizes[0][start]):.2g}",
                f"less than {_NOISE:g} times the noise, or {floor:.3g}{unit}",
            )
            for start, stop in runs(over)
        ]


def _fault(name: str, rows: tuple[int, int], actual: str, expected: str) -> Fault:
    fix = "check for a bad timestamp or a disturbed bus; `on_fault: repair` interpolates"
    return Fault(*rows, name, actual, expected, fix, repairable=True)


def _peak(values: Array, reach: int) -> Array:
    """Return how far x[k] is beyond both x[k-reach] and x[k+reach] of (n,); 0 where it is not."""
    rise = values[reach:-reach] - values[: -2 * reach]
    fall = values[reach:-reach] - values[2 * reach :]
    height = np.zeros(len(values))
    height[reach:-reach] = np.where(rise * fall > 0.0, np.fmin(np.abs(rise), np.abs(fall)), 0.0)
    return height


def _steps(values: Array, start: int, stop: int) -> bool:
    """Return whether a channel (n,) changes much more across some rows than usual."""
    rows = stop - start + 3
    if start < 2 or stop + 1 >= len(values):
        return False
    usual = float(np.nanmedian(np.abs(values[rows:] - values[:-rows])))
    least = max(_STEP * float(np.nanstd(values)), _UNUSUAL * usual)
    return bool(abs(values[stop + 1] - values[start - 2]) > least)


def _out_of_line(values: Array, reach: int) -> Array:
    """Return |x[k] - (x[k-reach] + x[k+reach]) / 2| of (n,); NaN at the ends."""
    error = np.full(len(values), np.nan)
    neighbor_sum = values[2 * reach :] + values[: -2 * reach]
    error[reach:-reach] = np.abs(values[reach:-reach] - 0.5 * neighbor_sum)
    return error


def _bent(x: Array, v: Array, reach: int, dt: float) -> Array:
    """Return the distance of x (n,) from the mean of its neighbors, less the curve of v."""
    inner = slice(reach, -reach)
    residual = x[inner] - 0.5 * (x[2 * reach :] + x[: -2 * reach])
    bend = 0.25 * reach * dt * (v[: -2 * reach] - v[2 * reach :])
    error = np.full(len(x), np.nan)
    error[inner] = np.minimum(np.abs(residual), np.abs(residual - bend))
    return error


def _moves(x: Array, v: Array, fault: Fault, dt: float) -> bool:
    """Return whether the position is different after the rows than before, or turns back at once.

    Then it is a step, or its velocity changes sign within a row.
    """
    earlier = fault.start - 1
    later = fault.stop
    if earlier < 0 or later >= len(x):
        return False
    half = 0.5 * (later - earlier) * dt
    off = x[fault.start : fault.stop] - 0.5 * (x[earlier] + x[later])
    largest = float(np.abs(off).max())
    is_step = abs(x[later] - x[earlier] - half * (v[earlier] + v[later])) > largest
    turn = 0.5 * half * (v[earlier] - v[later])
    return bool(is_step or np.abs(off - turn).max() < _TURN * largest)


def _bends(v: Array, fault: Fault) -> bool:
    """Return whether the slope changes at the rows, or they lead on from one side to the other.

    The line from one side alone then fits better; in a step response, no row is beyond its
    neighbors.
    """
    start = fault.start
    stop = fault.stop
    change = np.diff(v[max(0, start - 1) : stop + 1])
    if (change > 0.0).all() or (change < 0.0).all():
        return True
    if start < 2 or stop + 1 >= len(v):
        return False
    rows = np.arange(start, stop)
    earlier = v[start - 1] + (rows - start + 1) * (v[start - 1] - v[start - 2])
    later = v[stop] + (rows - stop) * (v[stop + 1] - v[stop])
    between = np.interp(rows, [start - 1, stop], v[[start - 1, stop]])
    *misfits, off = (np.abs(v[start:stop] - line).max() for line in (earlier, later, between))
    return bool(min(misfits) < _BEND * off)


def _around(error: Array) -> Array:
    """Return the largest of (n,) within twice the reach of each row."""
    far = 2 * max(_REACH)
    padded = np.pad(np.nan_to_num(error), far)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * far + 1).max(axis=1)
