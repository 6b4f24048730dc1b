"""Consistency of positions and velocities, and the noise of their difference.

Noise is measured in the log itself, so checks need no settings for a robot: an error is compared
with the errors of the quiet rows around it. Symbols: n rows, m windows, dt time step in s.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kinemill.task import Channel, Task
from kinemill.task.channels import MODELED
from kinemill.validate.faults import Array, Values, memoize, runs
from kinemill.validate.signal_stats import is_finite

BLOCK = 25  # rows over which noise is taken as constant
_QUIET = 0.75  # quantile of a block's errors that estimates its noise
_ROUNDS = 5  # of reweighting; the third digit is settled after four
_CONSTANT = 1e-3  # standard deviation over mean of windows below which all windows are equivalent
_FIT_WINDOWS = 200  # windows in a fit: neighbors are nearly equal
MAX_WINDOWS = 20_000  # longer logs have as many windows, spread evenly
_SAMPLE = 20_000  # rows that measure the noise of a longer log, spread evenly
_TINY = 1e-12
_NORMAL = 1.4826  # standard deviation over median absolute deviation of a normal distribution


def velocity_pairs(task: Task) -> Iterator[tuple[str, str]]:
    """Yield (velocity, position) for every state that is the derivative of another channel.

    An element of a quaternion is no position: turns about other axes do not change it.
    """
    for name, channel in task.channels.items():
        is_measured = channel.role in MODELED and not channel.derived
        parent = channel.derivative_of if is_measured else None
        if parent and task.channels[parent].kind != "quaternion":
            yield name, parent


def busiest_stretch(values: Values, actions: Sequence[str], rows: int) -> int:
    """Return the first of the `rows` rows in which actions change most.

    The changes of each action count in units of its mean change.
    """
    count = len(next(iter(values.values())))
    if count <= rows:
        return 0
    change = np.zeros(count)
    for name in actions:
        steps = np.nan_to_num(np.abs(np.diff(values[name])))
        change[1:] += steps / max(float(steps.mean()), _TINY)
    sums = np.cumsum(change)
    return int(np.argmax(sums[rows - 1 :] - sums[: count - rows + 1]))


def derivative(position: Array, dt: float) -> Array:
    """Return the central difference of (n,) unit as (n,) unit/s; both ends are NaN."""
    slope = np.full(len(position), np.nan)
    slope[1:-1] = (position[2:] - position[:-2]) / (2.0 * dt)
    return slope


def slope_error(velocity: Array, position: Array, dt: float) -> Array:
    """Return |v - slope| (n,), unit/s, for the best of the slopes before, around and after a row.

    Logs have backward differences as often as central ones. Next to a NaN, the slope that fits the
    rest of the log may be missing; the error of such a row is NaN.
    """
    change = np.diff(position) / dt
    around = np.abs(velocity - derivative(position, dt))
    backward = np.full(len(around), np.nan)
    forward = np.full(len(around), np.nan)
    backward[1:] = np.abs(velocity[1:] - change)
    forward[:-1] = np.abs(velocity[:-1] - change)
    error = np.fmin(np.fmin(around, backward), forward)
    if np.isnan(position).any():
        kinds = [
            difference
            for difference in (around, backward, forward)
            if np.isfinite(difference).any()
        ]
        usual = min(kinds, key=lambda kind: float(np.nanmedian(kind)), default=around)
        error[np.isnan(usual)] = np.nan
    return error


def half_range(values: Array, channel: Channel) -> float:
    """Return half the range of a channel (n,): from its limits, or twice its standard deviation.

    That of an angle is at most half a turn. That of an element of a quaternion is 1, also in planar
    motion, where some elements only have rounding errors.
    """
    if channel.kind == "quaternion":
        return 1.0
    if channel.limits:
        return 0.5 * (channel.limits[1] - channel.limits[0])
    finite = values[np.isfinite(values)]
    spans = 2.0 * float(finite.std()) if len(finite) else 0.0
    return min(spans, np.pi) if channel.kind == "angle" else spans


def local_noise(error: Array) -> Array:
    """Return the noise around each row of |error| (n,): the largest of its block and neighbors.

    It is at least the noise of all rows, because a rounded log at rest has blocks without noise.
    """
    filled = np.abs(error)
    finite = np.isfinite(filled)
    least = float(np.quantile(filled[finite], _QUIET)) if finite.any() else 0.0
    rows = -(-len(filled) // BLOCK) * BLOCK
    blocks = np.concatenate((filled, np.full(rows - len(filled), np.nan))).reshape(-1, BLOCK)
    ranked = np.sort(blocks, axis=1)  # NaN last
    rank = (_QUIET * np.count_nonzero(np.isfinite(blocks), axis=1)).astype(np.intp)
    level = np.nan_to_num(ranked[np.arange(len(ranked)), np.minimum(rank, BLOCK - 1)])
    padded = np.concatenate(([0.0], level, [0.0]))
    around = np.maximum(np.maximum(padded[:-2], padded[2:]), level)
    return np.maximum(np.repeat(around, BLOCK)[: len(filled)], least)


def noise_of_velocity(values: Values, velocity: str, position: str, dt: float) -> float:
    """Return `sensor_noise` of a velocity (n,), unit/s, computed once for a track."""
    return memoize(
        values, ("noise", velocity), lambda: sensor_noise(values[velocity], values[position], dt)
    )


class Windows(NamedTuple):
    """A velocity and its position compared over windows.

    Attributes:
        integral: integral of the velocity over each window, (m,) unit of the position.
        moved: difference of the positions over each window, (m,) unit of the position.
        length: length of a window, s.
        apart: distance between the starts of two windows, s.
    """

    integral: Array
    moved: Array
    length: float
    apart: float


def windows_of(
    values: Values, velocity: str, position: str, window: float, dt: float, late: float = 0.0
) -> Windows:
    """Compare a velocity with its position over windows, computed once for a track.

    Args:
        values: channel -> (n,), in the task's units.
        velocity: name of the velocity.
        position: name of its position.
        window: length of a window, s; at most half of the longest stretch without NaN.
        dt: time step, s.
        late: delay of the velocity against the position's slope, s.
    """
    return memoize(
        values,
        ("windows", velocity, position, window, late),
        lambda: _windows(values, velocity, position, window, dt, late),
    )


def integrate_velocity(values: Values, name: str, rows: NDArray[np.intp], dt: float) -> Array:
    """Integrate a velocity from row 0 to each of some rows (m,), in the unit of its position.

    It uses the trapezoidal rule; NaN counts as zero.
    """

    def compute() -> Array:
        velocity = np.where(np.isfinite(values[name]), values[name], 0.0)
        return np.concatenate(([0.0], np.cumsum(0.5 * dt * (velocity[1:] + velocity[:-1]))))

    return memoize(values, ("path", name), compute)[rows]


def sensor_noise(velocity: Array, position: Array, dt: float) -> float:
    """Return the noise of a velocity (n,) about its position's slope, unit/s; robust to spikes."""
    sample = slice(None, None, max(1, len(velocity) // _SAMPLE))
    slope = (position[2:][sample] - position[:-2][sample]) / (2.0 * dt)
    error = velocity[1:-1][sample] - slope
    finite = error[np.isfinite(error)]
    if not len(finite):
        return 0.0
    return _NORMAL * float(np.median(np.abs(finite - np.median(finite))))


def _windows(
    values: Values, name: str, parent: str, window: float, dt: float, late: float
) -> Windows:
    """Compare a velocity with its position over windows without NaN.

    A delay shifts the velocity by whole rows and its integral by the rest. For a backward
    difference, which is half a row late, this is exact at any rate.
    """
    velocity = values[name]
    position = values[parent]
    shift = round(late / dt)
    if shift > 0:
        velocity = velocity[shift:]
        position = position[:-shift]
    elif shift < 0:
        velocity = velocity[:shift]
        position = position[-shift:]
    is_whole = is_finite(values, name) and is_finite(values, parent)
    finite = np.array([]) if is_whole else np.isfinite(velocity) & np.isfinite(position)
    longest = len(velocity) if is_whole else max((b - a for a, b in runs(finite)), default=0)
    rows = min(max(1, round(window / dt)), longest // 2)
    if rows < 1:
        return Windows(np.empty(0), np.empty(0), window, dt)
    step = max(1, (len(velocity) - rows) // MAX_WINDOWS)
    first = slice(None, -rows, step)
    last = slice(rows, None, step)
    begin = np.arange(max(shift, 0), max(shift, 0) + len(velocity) - rows, step)
    integral = integrate_velocity(values, name, begin + rows, dt)
    integral -= integrate_velocity(values, name, begin, dt)
    moved = position[last] - position[first]
    if late:
        integral += (late - shift * dt) * (velocity[last] - velocity[first])
    if not is_whole:
        unknown = np.concatenate(([0], np.cumsum(~finite)))
        clean = unknown[1:][last] == unknown[:-1][first]
        integral = integral[clean]
        moved = moved[clean]
    return Windows(integral, moved, rows * dt, step * dt)


def slope_and_offset(integral: Array, moved: Array, window: float) -> tuple[float, float]:
    """Fit integral = slope * moved + offset * window, robust to spikes.

    It is iteratively reweighted least squares: errors above their mean count by their size, smaller
    ones by their square.

    Args:
        integral: integral of the velocity over each window, (m,) unit.
        moved: difference of the positions over each window, (m,) unit.
        window: length of a window, s.

    Returns:
        slope without unit, offset in unit/s.
    """
    sample = slice(None, None, max(1, len(integral) // _FIT_WINDOWS))
    y = integral[sample]
    x = moved[sample]
    weight = np.ones(len(y))
    slope = 1.0
    offset = 0.0
    for _ in range(_ROUNDS):
        total = float(weight.sum())
        x_mean = float(weight @ x) / total
        y_mean = float(weight @ y) / total
        off = x - x_mean
        weighted = weight * off
        variance = float(weighted @ off)
        if variance <= total * (_CONSTANT * x_mean) ** 2 and x_mean:
            # At constant speed, scale and offset cannot be distinguished.
            return y_mean / x_mean, 0.0
        if variance <= 0.0:
            return float("inf") if float(np.ptp(y)) > 0.0 else 1.0, 0.0
        slope = float(weighted @ (y - y_mean)) / variance
        offset = y_mean - slope * x_mean
        error = np.abs(y - slope * x - offset)
        weight = 1.0 / np.maximum(error, float(error.sum()) / len(error) + 1e-12)
    return slope, offset / window


def find_unit_scales(values: Values, task: Task, window: float, least: float) -> dict[str, float]:
    """Return the scales of velocities that differ from the change of their position by a factor.

    Args:
        values: channel -> (n,), in the task's units.
        task: task with the pairs and dt.
        window: length of a window, s.
        least: smallest factor, above 1, in either direction.

    Returns:
        scale by velocity; without velocities at rest, or that do not follow their position.
    """
    scales = {
        velocity: unit_scale(values, velocity, position, window, task.dt, least)
        for velocity, position in velocity_pairs(task)
    }
    return {velocity: scale for velocity, scale in scales.items() if scale is not None}


def unit_scale(
    values: Values,
    velocity: str,
    position: str,
    window: float,
    dt: float,
    least: float,
    unexplained: float = 0.5,
) -> float | None:
    """Return the factor between a velocity and its position's change; None if it is about 1.

    Args:
        values: channel -> (n,), in the task's units.
        velocity: name of the velocity.
        position: name of its position.
        window: length of a window, s.
        dt: time step, s.
        least: smallest factor, above 1, in either direction.
        unexplained: largest share of the velocity's RMS that the scaled position leaves.
    """
    integral, moved, length, _ = windows_of(values, velocity, position, window, dt)
    velocity_path = float(np.abs(integral).sum())
    position_path = float(np.abs(moved).sum())
    if (
        velocity_path <= 0.0
        or position_path <= 0.0
        or 1.0 / least < velocity_path / position_path < least
    ):
        return None
    scale, offset = slope_and_offset(integral, moved, length)
    far = scale > least or 0.0 < scale < 1.0 / least
    error = integral - scale * moved - offset * length
    follows = far and rms(error) < unexplained * rms(integral)
    return scale if follows else None


def is_minutes(factor: float) -> bool:
    """Return whether a factor is 60 or 1/60, minutes to seconds, and not the 57.3 of degrees."""
    return abs(max(factor, 1.0 / factor) / 60.0 - 1.0) < 0.02


def rms(values: Array) -> float:
    """Return the root mean square of (n,)."""
    # Not a dot product: the threads of BLAS spin on cores that check other logs.
    return float(np.sqrt(np.einsum("i,i", values, values) / len(values)))
