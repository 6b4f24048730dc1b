"""Compare a velocity with the motion of a position, by a line that is robust against faults."""

from typing import NamedTuple

import numpy as np

from kinemill.draft.column import Column
from kinemill.draft.constants import (
    FIT_APART,
    FIT_CONSTANT,
    FIT_LIKELY,
    FIT_ROUNDS,
    FIT_ROWS,
    FIT_WINDOW,
    FIT_WINDOWS,
)
from kinemill.draft.table import Samples, usual_step
from kinemill.ingest.channels import unwrap
from kinemill.ingest.clock import Floats
from kinemill.validate.motion import rms
from kinemill.validate.time_lag import lag


class Line(NamedTuple):
    """A robust line through windows: velocity integral per motion, and the share that agrees."""

    ratio: float
    share: float


def fit_line(pairs: list[tuple[Floats, Floats]]) -> Line | None:
    """Return a robust line through all windows.

    Args:
        pairs: integral of the velocity and motion of the position, both (windows,), by log.

    Returns:
        The line, and the share of the windows with motion close to it; None if the columns do not
        move or a constant offset dominates.
    """
    integral = np.concatenate([pair[0] for pair in pairs]) if pairs else np.empty(0)
    moved = np.concatenate([pair[1] for pair in pairs]) if pairs else np.empty(0)
    if len(moved) < 4:
        return None
    ratio, offset = _line(integral, moved)
    if not np.isfinite(ratio) or ratio == 0.0:
        return None
    expected = ratio * moved
    centered = integral - offset
    size = np.maximum(np.abs(expected), np.abs(centered))
    usual = min(_trimmed_rms(expected), _trimmed_rms(centered))
    is_moving = size > FIT_APART * usual
    # A column that is mostly an offset, such as a constant command, follows nothing.
    if usual == 0.0 or not is_moving.any() or abs(offset) > _trimmed_rms(expected):
        return None
    close = np.abs(centered - expected) <= FIT_APART * np.maximum(size, usual)
    return Line(ratio, float(np.mean(close[is_moving])))


def likely_pairs(columns: list[Column]) -> set[tuple[str, str]]:
    """Return pairs of names: a column, and the one that its integral over windows follows.

    All pairs are compared in one matrix product, in the first log. The set is empty if the columns
    have different clocks there.
    """
    samples = [next(iter(column.samples.values())) for column in columns]
    if not samples or any(not np.array_equal(seconds, samples[0][0]) for seconds, _ in samples):
        return set()
    seconds = samples[0][0][:FIT_ROWS]
    values = np.column_stack([values_of_column[:FIT_ROWS] for _, values_of_column in samples])
    values = np.nan_to_num(values)
    steps = np.diff(seconds)[:, None]
    integral = np.vstack([0 * values[:1], np.cumsum(steps * (values[1:] + values[:-1]) / 2, 0)])
    rows = max(1, round(FIT_WINDOW / float(np.median(steps))))
    moved = values[rows:] - values[:-rows]
    integral = integral[rows:] - integral[:-rows]
    size = np.sqrt(np.outer((integral**2).sum(axis=0), (moved**2).sum(axis=0)))
    product = integral.T @ moved
    # [i, j]: the integral of column i against the motion of column j; both are 1 if they agree.
    slope = np.divide(product, (moved**2).sum(axis=0), out=0 * size, where=size > 0.0)
    share = np.divide(product, size, out=0 * size, where=size > 0.0)
    is_likely = (share > FIT_LIKELY) & (np.abs(slope - 1.0) < FIT_APART)
    names = [column.guess.name for column in columns]
    return {(names[at], names[of]) for at, of in np.argwhere(is_likely) if at != of}


def _trimmed_rms(values: Floats) -> float:
    """Return the root of the mean square of (m,) without the largest 5 %."""
    size = np.abs(values)
    return rms(size[size <= np.quantile(size, 0.95)])


def _line(integral: Floats, moved: Floats) -> tuple[float, float]:
    """Return slope and offset of a line that up to half of the windows (m,) cannot move.

    The slope starts as the median of the ratios, weighted by the motion, and both are fitted to the
    windows that are close to the line.
    """
    is_moving = np.abs(moved) > 0.0
    if not is_moving.any():
        return 0.0, 0.0
    ratios = integral[is_moving] / moved[is_moving]
    weights = np.abs(moved[is_moving])
    order = np.argsort(ratios)
    half = np.searchsorted(np.cumsum(weights[order]), 0.5 * weights.sum())
    slope = float(ratios[order][min(int(half), len(order) - 1)])
    offset = float(np.median(integral - slope * moved))
    for _ in range(FIT_ROUNDS):
        off = np.abs(integral - slope * moved - offset)
        close = off <= 3.0 * float(np.median(off)) + 1e-12
        x = moved[close]
        y = integral[close]
        variance = float(np.var(x))
        if variance <= (FIT_CONSTANT * float(np.mean(x))) ** 2:
            break  # at constant speed scale and offset are indistinguishable
        slope = float(np.mean((x - x.mean()) * (y - y.mean()))) / variance
        offset = float(np.mean(y - slope * x))
    return slope, offset


def usual_delay(shared: list[tuple[Floats, Floats, Floats]], line: Line) -> float:
    """Return the median delay of the velocity over the logs, s; 0 without motion.

    Args:
        shared: seconds, velocity and position (n,) of each log.
        line: result of `fit_line`; its sign is that of the velocity.
    """
    delays = list[float]()
    for seconds, speed, path in shared:
        step = usual_step(seconds)
        slope = np.diff(path) / step
        sizes = [float(np.nanquantile(np.abs(item), 0.9)) for item in (speed, slope)]
        if min(sizes) > 0.0 and len(path) > 20:
            sign = -1.0 if line.ratio < 0.0 else 1.0
            delays.append(lag(sign * speed * sizes[1] / sizes[0], path, step))
    return float(np.median(delays)) if delays else 0.0


def on_shared_clock(
    velocity: Samples, position: Samples, column: Column
) -> tuple[Floats, Floats, Floats] | None:
    """Return seconds, velocity and unwrapped position (n,) at the times of the velocity.

    None if fewer than four rows are shared, or the times of the position do not rise.
    """
    seconds = velocity[0][:FIT_ROWS]
    speed = velocity[1][:FIT_ROWS]
    per_turn = column.radians if column.kind == "angle" else 1.0
    is_shared = np.array_equal(velocity[0], position[0])
    stop = (
        FIT_ROWS if is_shared or not len(seconds) else np.searchsorted(position[0], seconds[-1]) + 1
    )
    path = position[1][:stop] * per_turn
    path = (np.asarray(unwrap(path)) if column.kind == "angle" else path) / per_turn
    if is_shared:
        return (seconds, speed, path) if len(speed) >= 4 else None
    is_finite = np.isfinite(path)
    stamps = position[0][:stop][is_finite]
    path = path[is_finite]
    if len(stamps) < 4 or len(speed) < 4 or np.any(np.diff(stamps) <= 0.0):
        return None
    inside = (seconds >= stamps[0]) & (seconds <= stamps[-1])
    if np.count_nonzero(inside) < 4:
        return None
    return seconds[inside], speed[inside], np.interp(seconds[inside], stamps, path)


def integrals_of(seconds: Floats, speed: Floats, path: Floats, shift: int) -> tuple[Floats, Floats]:
    """Return the velocity's integral and the position's change over windows, both (windows,).

    Args:
        seconds: timestamps (n,), s.
        speed: velocity (n,).
        path: position (n,).
        shift: rows by which the velocity is late.
    """
    if shift:
        late = max(shift, 0)
        early = max(-shift, 0)
        speed = speed[late : len(speed) - early]
        path = path[early : len(path) - late]
        seconds = seconds[early : len(seconds) - late]
    steps = np.diff(seconds)
    if len(steps) < 3:
        return np.empty(0), np.empty(0)
    area = 0.5 * steps * (speed[1:] + speed[:-1])
    usual = usual_step(seconds)
    unknown = ~np.isfinite(area) | (steps > 5 * usual) | (steps <= 0.0)
    sums = np.concatenate(([0.0], np.cumsum(np.where(unknown, 0.0, area))))
    # Differences of these sums give all windows; a window with an unknown step is left out.
    holes = np.concatenate(([0], np.cumsum(unknown)))
    rows = max(1, min(round(FIT_WINDOW / usual), len(speed) // 3))
    sample = slice(None, None, max(1, len(speed) // FIT_WINDOWS))
    integral = (sums[rows:] - sums[:-rows])[sample]
    moved = (path[rows:] - path[:-rows])[sample]
    valid = (holes[rows:] == holes[:-rows])[sample] & np.isfinite(moved)
    return integral[valid], moved[valid]
