"""Consistency of positions and velocities, and the noise of their difference.

Symbols: x position, v its velocity, dt time step in s, k row, m windows. Noise is measured in the
log itself, so that a check needs no number of the robot: the error of the quiet rows around a row
says what an error of that row is worth.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kinemill.task import Channel, Task
from kinemill.task.channels import MODELED
from kinemill.validate.block_stats import whole
from kinemill.validate.faults import Array, Values, memoize, runs

BLOCK = 25  # rows over which noise is taken as constant
_QUIET = 0.75  # quantile of a block's errors that estimates its noise
_ROUNDS = 5  # of reweighting; the third digit is settled after four
_CONSTANT = 1e-3  # standard deviation over mean of windows below which all windows are equivalent
_FIT_WINDOWS = 200  # windows used by a fit: neighbors are nearly equal
MANY = 20_000  # windows from which on only some are compared, spread evenly over a log
_SAMPLE = 20_000  # rows from which on noise is that of rows spread evenly over a log


def pairs(task: Task) -> Iterator[tuple[str, str]]:
    """Yield (velocity, position) for every state that is the derivative of another channel.

    An element of a quaternion is no position: a turn about another axis leaves it as it is.
    """
    for name, channel in task.channels.items():
        is_measured = channel.role in MODELED and not channel.derived
        parent = channel.derivative_of if is_measured else None
        if parent and task.channels[parent].kind != "quaternion":
            yield name, parent


def derivative(position: Array, dt: float) -> Array:
    """Return the central difference of (n,) unit as (n,) unit/s; both ends are NaN."""
    slope = np.full(len(position), np.nan)
    slope[1:-1] = (position[2:] - position[:-2]) / (2.0 * dt)
    return slope


def slope_error(velocity: Array, position: Array, dt: float) -> Array:
    """Return |v - slope| (n,), unit/s, of the slope before, around or after a row that suits best.

    Robots differentiate backwards as often as around a row; both are sound. Beside a NaN the one
    that this log is made with may be missing: then nothing is said of the row.
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


def reach_of(values: Array, channel: Channel) -> float:
    """Return half the range of a channel (n,): from its limits, or twice its standard deviation.

    An angle reaches half a turn at most, however often it goes round. An element of a quaternion
    reaches 1, also in a plane, where some elements show the rounding of zero and nothing else.
    """
    if channel.kind == "quaternion":
        return 1.0
    if channel.limits:
        return 0.5 * (channel.limits[1] - channel.limits[0])
    finite = values[np.isfinite(values)]
    spans = 2.0 * float(finite.std()) if len(finite) else 0.0
    return min(spans, np.pi) if channel.kind == "angle" else spans


def noise(error: Array) -> Array:
    """Return the noise around each row of |error| (n,): that of its block and both neighbors.

    Never below the noise of the whole, so that a rounded log at rest has none of zero.
    """
    filled = np.abs(error)
    finite = np.isfinite(filled)
    whole = float(np.quantile(filled[finite], _QUIET)) if finite.any() else 0.0
    rows = -(-len(filled) // BLOCK) * BLOCK
    blocks = np.concatenate((filled, np.full(rows - len(filled), np.nan))).reshape(-1, BLOCK)
    ranked = np.sort(blocks, axis=1)  # NaN last
    rank = (_QUIET * np.count_nonzero(np.isfinite(blocks), axis=1)).astype(np.intp)
    level = np.nan_to_num(ranked[np.arange(len(ranked)), np.minimum(rank, BLOCK - 1)])
    padded = np.concatenate(([0.0], level, [0.0]))
    around = np.maximum(np.maximum(padded[:-2], padded[2:]), level)
    return np.maximum(np.repeat(around, BLOCK)[: len(filled)], whole)


def noise_of(values: Values, velocity: str, position: str, dt: float) -> float:
    """Return `sensor_noise` of two channels (n,) with time step `dt` s, once for a track."""
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
    """Compare a velocity with its position over windows, once for a track.

    Args:
        values: channel -> (n,), in the task's units.
        velocity: name of a channel.
        position: name of the channel that it is the derivative of.
        window: s; if that is more than half of the longest stretch without NaN, that half.
        dt: s.
        late: by how many s the velocity comes after the position's slope.
    """
    return memoize(
        values,
        ("windows", velocity, position, window, late),
        lambda: _windows(values, velocity, position, window, dt, late),
    )


def traveled(values: Values, name: str, rows: NDArray[np.intp], dt: float) -> Array:
    """Return the way of a velocity to each of rising rows (m,), in unit; NaN goes nowhere.

    By trapezoids, from the first row of the track. Sums between the rows that are asked for take a
    sixth of the time of a path to every row.
    """
    if not len(rows):
        return np.empty(0)
    velocity = values[name]
    velocity = velocity if whole(values, name) else np.where(np.isfinite(velocity), velocity, 0.0)
    edges = rows if rows[0] == 0 else np.concatenate(([0], rows))
    path = np.zeros(len(edges))
    if len(edges) > 1:
        np.cumsum(np.add.reduceat(velocity[: edges[-1]], edges[:-1]), out=path[1:])
    path = path[len(edges) - len(rows) :]
    path += 0.5 * (velocity[rows] - velocity[0])
    path *= dt
    return path


def sensor_noise(velocity: Array, position: Array, dt: float) -> float:
    """Return a velocity's (n,) noise about its position's slope, deaf to spikes, unit/s."""
    sample = slice(None, None, max(1, len(velocity) // _SAMPLE))
    slope = (position[2:][sample] - position[:-2][sample]) / (2.0 * dt)
    error = velocity[1:-1][sample] - slope
    finite = error[np.isfinite(error)]
    if not len(finite):
        return 0.0
    return 1.4826 * middle(np.abs(finite - middle(finite)))


def _windows(
    values: Values, name: str, parent: str, window: float, dt: float, late: float
) -> Windows:
    """Compare a velocity with its position over every window without NaN, `MANY` of a long log.

    What comes late is taken from as much later, along the path that the velocity makes: of a
    backward difference, half a row late, that is exact however coarse the rows are.
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
    is_whole = whole(values, name) and whole(values, parent)
    finite = np.array([]) if is_whole else np.isfinite(velocity) & np.isfinite(position)
    longest = len(velocity) if is_whole else max((b - a for a, b in runs(finite)), default=0)
    rows = min(max(1, round(window / dt)), longest // 2)
    if rows < 1:
        return Windows(np.empty(0), np.empty(0), window, dt)
    step = max(1, (len(velocity) - rows) // MANY)
    first = slice(None, -rows, step)
    last = slice(rows, None, step)
    begin = np.arange(max(shift, 0), max(shift, 0) + len(velocity) - rows, step)
    integral = traveled(values, name, begin + rows, dt) - traveled(values, name, begin, dt)
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
    """Return s and b of said = s moved + b window by weighted least squares: deaf to spikes.

    Windows off by more than the mean count as in a sum of |error|, the rest as in one of squares.

    Args:
        integral: integral of the velocity over a window, (m,) unit.
        moved: difference of the positions, (m,) unit.
        window: s.

    Returns:
        s without unit, b in unit/s.
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


def scales(values: Values, task: Task, window: float, least: float) -> dict[str, float]:
    """Return velocity over its position's change, for those of channel -> (n,) far off 1.

    Args:
        values: the task's units.
        task: gives the pairs and dt.
        window: s over which velocity is integrated.
        least: factor, above 1, from which a scale is far off, either way.

    Returns:
        velocity channel -> scale, positive; none that is at rest or does not follow its position.
    """
    scale_by_velocity = {
        velocity: scale_of(values, velocity, position, (window, task.dt), least)
        for velocity, position in pairs(task)
    }
    return {velocity: scale for velocity, scale in scale_by_velocity.items() if scale is not None}


def scale_of(
    values: Values,
    velocity: str,
    position: str,
    times: tuple[float, float],
    least: float,
    share: float = 0.5,
) -> float | None:
    """Return a velocity over its position's change if that is far off 1, else None.

    Args:
        values: channel -> (n,), the task's units.
        velocity: name of a channel.
        position: name of another one.
        times: s over which velocity is integrated, and dt in s.
        least: factor, above 1, from which a scale is far off, either way.
        share: of the velocity's way, which a scaled position may leave at most.
    """
    integral, moved, length, _ = windows_of(values, velocity, position, *times)
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
    follows = far and rms(integral - scale * moved - offset * length) < share * rms(integral)
    return scale if follows else None


def minutes(factor: float) -> bool:
    """Return whether a factor is that of minutes to seconds, and not the 57.3 of degrees."""
    return abs(max(factor, 1.0 / factor) / 60.0 - 1.0) < 0.02


def rms(values: Array) -> float:
    """Return the root of the mean square of (n,).

    Avoids BLAS: its threads spin while they wait, on cores that check other logs.
    """
    return float(np.sqrt(np.einsum("i,i", values, values) / len(values)))


def middle(values: Array) -> float:
    """Return the median of (n,) without NaN; numpy's own spends most of its time on asking."""
    half = len(values) // 2
    if len(values) % 2:
        return float(np.partition(values, half)[half])
    ranked = np.partition(values, (half - 1, half))
    return 0.5 * float(ranked[half - 1] + ranked[half])
