"""Statistics of a channel: extremes, steps, mean and deviation, held values, resolution.

Checks, the table of episodes and near-duplicates use the same numbers; a `Track` caches them.
"""

from math import isfinite

import numpy as np

from kinemill.validate.faults import Values, memoize, runs

_FEWEST_STEPS = 10  # away from held values, to know a resolution


def extremes(values: Values, name: str) -> tuple[float, float]:
    """Return least and largest value of a channel (n,), in its unit; NaN where a row is NaN."""
    channel = values[name]
    return memoize(values, ("extremes", name), lambda: (float(channel.min()), float(channel.max())))


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


def is_finite(values: Values, name: str) -> bool:
    """Return whether a channel (n,) is finite in every row."""
    return all(map(isfinite, extremes(values, name)))


def largest_step(values: Values, name: str) -> float:
    """Return the largest |x[k+1] - x[k]| of a channel (n,), in its unit; NaN with a NaN row."""

    def compute() -> float:
        change = np.diff(values[name])
        return max(float(change.max(initial=0.0)), -float(change.min(initial=0.0)))

    return memoize(values, ("largest_step", name), compute)


def mean_and_deviation(values: Values, name: str) -> tuple[float, float]:
    """Return mean and standard deviation of a channel (n,), computed once for a track."""
    channel = values[name]
    return memoize(
        values, ("deviation", name), lambda: (float(channel.mean()), float(channel.std()))
    )


def held_values(values: Values, name: str) -> list[tuple[int, int]]:
    """Return the stretches of equal rows of a channel as (start, stop not included)."""
    same = np.abs(np.diff(values[name])) <= rounding(*finite_extremes(values, name))
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
