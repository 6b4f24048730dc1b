"""Statistics of one pass over a channel: extremes, steps and sum of each block.

Checks, the table of episodes and near-duplicates use the same numbers; a `Track` caches them, so
that a long log is read from memory only once.
"""

from math import isfinite
from typing import NamedTuple

import numpy as np

from kinemill.validate.faults import BLOCK, Array, Values, blocks, changes, memoize, runs

_FEWEST_STEPS = 10  # away from held values, to know a resolution


class BlockStats(NamedTuple):
    """A channel (n,), n at least one, in b blocks of rows.

    Attributes:
        low: least value; NaN where a row is NaN.
        high: largest value; NaN where a row is NaN.
        lows: least value of each block, (b,); NaN where a row is NaN.
        highs: largest value of each block, (b,); NaN where a row is NaN.
        total: sum over all rows.
        rise: largest x[k+1] - x[k], 0 for a single row; NaN where a row is NaN.
        fall: least x[k+1] - x[k]; NaN where a row is NaN.
    """

    low: float
    high: float
    lows: Array
    highs: Array
    total: float
    rise: float
    fall: float


def block_stats(values: Values, name: str) -> BlockStats:
    """Return the statistics of a channel (n,), computed once for a track."""
    return memoize(values, ("block_stats", name), lambda: _compute(values[name]))


def _compute(values: Array) -> BlockStats:
    lows, highs, rises, falls = (list[float]() for _ in range(4))
    total = 0.0
    for part, change in zip(blocks(values), changes(values), strict=True):
        lows.append(part.min())
        highs.append(part.max())
        total += part.sum()
        if len(change):
            rises.append(change.max())
            falls.append(change.min())
    rise, fall = (np.array(rises).max(), np.array(falls).min()) if rises else (0.0, 0.0)
    bounds = np.array(lows), np.array(highs)
    span = float(bounds[0].min()), float(bounds[1].max())
    return BlockStats(*span, *bounds, float(total), float(rise), float(fall))


def extremes(values: Values, name: str) -> tuple[float, float]:
    """Return least and largest value of a channel (n,), in its unit; NaN where a row is NaN."""
    stats = block_stats(values, name)
    return stats.low, stats.high


def finite_extremes(values: Values, name: str) -> tuple[float, float]:
    """Return least and largest finite value of a channel (n,), in its unit; 0 and 0 without any."""
    if is_finite(values, name):
        return extremes(values, name)
    finite = values[name][np.isfinite(values[name])]
    return (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)


def rounding(low: float, high: float) -> float:
    """Return the largest difference of equal values in a channel from `low` to `high`.

    Resampling between two equal values can change the last bits. The tolerance follows the span of
    the channel and not its size: at 1e9, a share of the size would hide a motion of one unit.
    """
    return 1e-9 * (high - low) + 1e-15 * max(-low, high)


def within(values: Values, name: str, most: float) -> bool:
    """Return whether every |value| of a channel (n,) is at most `most`; False if one is NaN."""
    stats = block_stats(values, name)
    return stats.low >= -most and stats.high <= most


def is_finite(values: Values, name: str) -> bool:
    """Return whether a channel (n,) is finite in every row."""
    stats = block_stats(values, name)
    return isfinite(stats.low) and isfinite(stats.high)


def largest_step(values: Values, name: str) -> float:
    """Return the largest |x[k+1] - x[k]| of a channel (n,), in its unit; NaN with a NaN row."""
    stats = block_stats(values, name)
    return max(stats.rise, -stats.fall)


def mean_and_deviation(values: Values, name: str) -> tuple[float, float]:
    """Return mean and standard deviation of a channel (n,), computed once for a track."""

    def compute() -> tuple[float, float]:
        channel = values[name]
        mean = block_stats(values, name).total / len(channel)
        square = 0.0
        buffer = np.empty(min(BLOCK, len(channel)))
        for part in blocks(channel):
            off = np.subtract(part, mean, out=buffer[: len(part)])
            square += np.square(off, out=off).sum()
        return mean, float(np.sqrt(square / len(channel)))

    return memoize(values, ("deviation", name), compute)


def may_rest(values: Array, rows: int, tolerance: float) -> bool:
    """Return whether (n,) can contain `rows` rows without a step larger than `tolerance`.

    Each such stretch contains two rows that are half as far apart, so it is enough to compare rows
    at that distance.
    """
    apart = max(1, rows // 2)
    sample = values[::apart]
    return bool((np.abs(np.diff(sample)) <= 1.01 * apart * tolerance).any())


def held_values(values: Values, name: str, least: int = 1) -> list[tuple[int, int]]:
    """Return the stretches of equal rows of a channel as (start, stop not included).

    There are none if the channel never keeps a value for `least` rows.
    """
    series, tolerance = values[name], rounding(*finite_extremes(values, name))
    if not may_rest(series, least, tolerance):
        return []
    same = np.concatenate([np.abs(part, out=part) <= tolerance for part in changes(series)])
    return [(start, stop + 1) for start, stop in runs(same)]


def resolution(values: Values, name: str) -> float:
    """Return the smallest step of a channel away from a value that it holds; 0 with few.

    Resampling mixes the row next to a held value, so the second one counts. A channel that is not
    rounded has a small result: two rows before it froze, it was near the value that it holds.
    """

    def compute() -> float:
        start, stop = np.array(held_values(values, name), dtype=np.intp).reshape(-1, 2).T
        padded = np.pad(values[name], 2, constant_values=np.nan)
        change = np.abs(np.stack((padded[start], padded[stop + 3])) - padded[start + 2])
        steps = change[change > rounding(*finite_extremes(values, name))]
        return float(steps.min()) if len(steps) >= _FEWEST_STEPS else 0.0

    return memoize(values, ("resolution", name), compute)
