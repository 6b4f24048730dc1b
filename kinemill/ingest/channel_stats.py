"""Statistics of each channel of a recording: minimum, maximum, mean and standard deviation.

Rows are read once, in blocks that fit into the cache. Sums are taken about the first row of each
block, and blocks and tracks are merged by their deviations (Chan, Golub and LeVeque 1983), so that
a large offset costs no digits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

_BLOCK = 65_536  # values of a block: 512 kB

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class ChannelStats:
    """Statistics of the finite values of one channel, in the task's unit.

    Attributes:
        min: smallest value.
        max: largest value.
        mean: arithmetic mean.
        std: standard deviation, of the values themselves: the divisor is their number.
    """

    min: float
    max: float
    mean: float
    std: float


@dataclass(frozen=True)
class _Moments:
    """Number of finite values, extrema, mean and sum of squared deviations, (C,) each."""

    count: Floats
    low: Floats
    high: Floats
    mean: Floats
    squares: Floats


def channel_stats(frames: Sequence[pl.DataFrame], channels: list[str]) -> dict[str, ChannelStats]:
    """Return the statistics of each channel over all tracks.

    The channels are Float64 columns of `frames`, the tracks of one recording. It returns statistics
    by channel, without channels that have no finite value, or values so large that their mean or
    deviation is not finite.
    """
    if not channels:
        return {}
    total: _Moments | None = None
    with np.errstate(all="ignore"):  # overflow and empty columns are filtered below
        for block in _blocks(frames, channels):
            moments = _moments(block)
            total = moments if total is None else _merge(total, moments)
        if total is None:
            return {}
        std = np.sqrt(total.squares / total.count)
    columns = np.stack([total.low, total.high, total.mean, std], axis=1)
    usable = np.isfinite(columns).all(axis=1) & (total.count > 0.0)
    return {
        name: ChannelStats(*columns[index].tolist())
        for index, name in enumerate(channels)
        if usable[index]
    }


def _blocks(frames: Sequence[pl.DataFrame], channels: list[str]) -> Iterator[Floats]:
    """Yield the values of all tracks, (n, C) with contiguous columns, n > 0."""
    rows = max(_BLOCK // len(channels), 1)
    for frame in frames:
        numbers = frame.select(channels)
        for start in range(0, numbers.height, rows):
            yield numbers.slice(start, rows).to_numpy(order="fortran")


def _moments(values: Floats) -> _Moments:
    """Return the moments of the values (n, C); those that are not finite are left out."""
    count = np.full(values.shape[1], float(len(values)))
    shift = values[0].copy()
    change = values - shift
    total = change.sum(axis=0)
    if np.isfinite(total).all():
        low = values.min(axis=0)
        high = values.max(axis=0)
    else:
        finite = np.isfinite(values)
        count = finite.sum(axis=0).astype(np.float64)
        first = values[finite.argmax(axis=0), np.arange(values.shape[1])]
        shift = np.where(np.isfinite(first), first, 0.0)
        change = np.where(finite, values - shift, 0.0)
        total = change.sum(axis=0)
        low = np.where(finite, values, np.inf).min(axis=0)
        high = np.where(finite, values, -np.inf).max(axis=0)
    mean = total / np.maximum(count, 1.0)
    np.square(change, out=change)
    squares = np.maximum(change.sum(axis=0) - total * mean, 0.0)
    return _Moments(count, low, high, shift + mean, squares)


def _merge(first: _Moments, second: _Moments) -> _Moments:
    """Merge the moments of two sets of values."""
    count = first.count + second.count
    share = second.count / np.maximum(count, 1.0)
    gap = np.where((first.count > 0) & (second.count > 0), second.mean - first.mean, 0.0)
    mean = np.where(first.count > 0, first.mean + gap * share, second.mean)
    squares = first.squares + second.squares + gap**2 * first.count * share
    low = np.minimum(first.low, second.low)
    high = np.maximum(first.high, second.high)
    return _Moments(count, low, high, mean, squares)
