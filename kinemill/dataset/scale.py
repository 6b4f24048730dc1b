"""Scale of errors: the standard deviation of each state in the training data.

Errors are divided by the standard deviation of the TRAINING rows: if a joint rests in the test
split, the deviation of the test rows would make every error of that joint look large. The sensor
resolution is a lower bound for the divisor and for errors. The tolerance is the largest
loss that does not count: noise, resolution, or a hundredth of the range.

Symbols: N rows, S states, E episodes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import comb
from weakref import WeakKeyDictionary

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.dataset.packed import ListedEpisodes, Packed, PackedDataset, PackedEpisode
from kinemill.dataset.windows import is_angle
from kinemill.runtime import Floats, wrapped

SAMPLED = 1000  # episodes of a split that determine whether its rows are within a range
# Rows that are enough to estimate the sensor resolution.
RESOLUTION_ROWS = 100_000
# A channel with two or three levels is a mode, such as contact: its steps are not a resolution.
FEWEST_LEVELS = 4
# Quantile of the gaps between levels that is small, but not an outlier.
SMALLEST = 0.02
# Largest distance of a level from the grid, as a share of the step, and the share of levels that
# must be so close.
ON_GRID = 0.05
MOST = 0.95
ORDERS = range(2, 7)  # of differences
MEDIAN_OF_NORMAL = 0.6745  # median magnitude of a standard normal variable
# A state that moves less than this share of the largest motion in its unit is at rest, such as a
# joint that holds its position while the others move.
AT_REST = 0.003
# Share of the range of a state that makes no practical difference on a robot.
PRACTICAL = 0.01
# Largest share of the standard deviation that counts as noise: what changes from row to row may be
# motion as well, where rows are far apart.
MOST_NOISE = 0.1
# A grid is distinguishable from rounding only if its step is at least this many float32 steps.
ABOVE_ROUNDING = 16.0


@dataclass(frozen=True, eq=False)
class Scale:
    """Scale of errors of states.

    Attributes:
        std: standard deviation in training, at least `resolution`, (S,), in units; 0 for a
            state that is at rest there.
        resolution: smallest difference between recorded values, (S,), in units.
        noise: standard deviation of the noise of measurements, (S,), in units.
        tolerance: largest difference of two RMS errors that does not count, (S,), in units: the
            largest of resolution, noise and `PRACTICAL` of the range in training.
    """

    std: Floats
    resolution: Floats
    noise: Floats
    tolerance: Floats

    @property
    def floor(self) -> Floats:
        """RMS error of rounding to the resolution, (S,), in units: a step over the root of 12."""
        return self.resolution / np.sqrt(12.0)


_SCALES: WeakKeyDictionary[PackedDataset, Scale] = WeakKeyDictionary()


def training_scale(dataset: PackedDataset) -> Scale:
    """Return the scale of errors from the training rows, or from all rows without a training split.

    Its arrays are (S,), in units.
    """
    scale = _SCALES.get(dataset)
    if scale is None:
        scale = scale_of(dataset, np.arange(len(dataset.states)), is_angle(dataset))
        units = [dataset.units.get(name, "") for name in dataset.states]
        std = np.where(at_rest(scale.std, units), 0.0, scale.std)
        scale = _SCALES[dataset] = replace(scale, std=std)
    return scale


def at_rest(std: Floats, units: Sequence[str]) -> NDArray[np.bool_]:
    """Return whether each state (S,) moves little compared with the largest motion in its unit."""
    largest = dict[str, float]()
    for unit, value in zip(units, std.tolist(), strict=True):
        largest[unit] = max(value, largest.get(unit, 0.0))
    return std < AT_REST * np.array([largest[unit] for unit in units])


def scale_of(dataset: PackedDataset, columns: NDArray[np.int64], angle: NDArray[np.bool_]) -> Scale:
    """Return the scale of errors, in units, of the columns with these indexes, (S,).

    `angle`, (S,), is true for angles. Their deviations from the mean are wrapped, as their errors
    are: otherwise a joint that keeps turning would have an unbounded standard deviation, and no
    error would count.
    """
    episodes = dataset.of("train") or dataset.episodes
    std = _std([dataset.rows(episode)[:, columns] for episode in episodes], angle)
    runs = [dataset.view(rows.start, rows.stop)[:, columns] for rows in _sample(episodes)]
    sample = np.concatenate(runs)
    resolution = np.array([_resolution(column) for column in sample.T])
    std = np.where(std > 0.0, np.maximum(std, resolution), 0.0)
    noise = np.minimum(noise_of(runs, angle), MOST_NOISE * std)
    span = sample.max(axis=0) - sample.min(axis=0)
    span = np.where(angle, np.minimum(span, 2.0 * np.pi), span)
    tolerance = np.maximum.reduce([resolution, noise, PRACTICAL * span])
    return Scale(std, resolution, noise, tolerance)


def noise_of(runs: Sequence[NDArray[np.float32]], angle: NDArray[np.bool_]) -> Floats:
    """Return an upper estimate of the noise of each column, (S,), in units.

    The k-th difference of white noise has binomial(2k, k) times its variance, at any k, and that of
    a smooth signal falls with k until only the noise remains. So the estimate is the smallest over
    k, each from the median of magnitudes, which impacts do not change (Hall, Kay and Titterington
    1990, Asymptotically optimal difference-based estimation of variance).

    Args:
        runs: consecutive rows, (N, S) each, in units.
        angle: whether a column is an angle, whose first differences are wrapped, (S,).
    """
    estimates = list[Floats]()
    for order in ORDERS:
        parts = list[Floats]()
        for run in runs:
            if len(run) > order:
                first = wrapped(np.diff(run.astype(np.float64), axis=0), angle)
                parts.append(np.abs(np.diff(first, order - 1, axis=0)))
        if parts:
            middle = np.median(np.concatenate(parts), axis=0) / MEDIAN_OF_NORMAL
            estimates.append(middle / np.sqrt(comb(2 * order, order)))
    return np.min(estimates, axis=0) if estimates else np.zeros(len(angle))


def _std(parts: list[NDArray[np.float32]], angle: NDArray[np.bool_]) -> Floats:
    """Return the standard deviation of each column over all rows: (N, S) parts -> (S,).

    It is exactly 0 if all values are equal.
    """
    rows = sum(len(part) for part in parts)
    turns = sum(np.exp(1j * part[:, angle].astype(np.float64)).sum(axis=0) for part in parts)
    # Sums relative to a value of the data: squares of a large offset would cancel.
    origin = parts[0][0].astype(np.float64)
    origin[angle] = np.angle(turns)  # circular mean: Mardia and Jupp, Directional Statistics, 2.2
    total = np.zeros(len(origin))
    squares = np.zeros(len(origin))
    moves = np.zeros(len(origin), dtype=bool)
    for part in parts:
        apart = wrapped(part.astype(np.float64) - origin, angle)
        total += apart.sum(axis=0)
        squares += (apart**2).sum(axis=0)
        # Exact comparison: rounding alone can make the computed variance larger than 0.
        moves |= (part != parts[0][0]).any(axis=0)
    variance = squares / rows - (total / rows) ** 2
    return np.where(moves, np.sqrt(np.maximum(variance, 0.0)), 0.0)


def _sample(episodes: Sequence[PackedEpisode]) -> list[slice]:
    """Return the first rows of each episode, at most `RESOLUTION_ROWS` in total."""
    share = min(1.0, RESOLUTION_ROWS / max(sum(episode.rows for episode in episodes), 1))
    return [
        slice(episode.start, episode.start + max(int(episode.rows * share), 1))
        for episode in episodes
    ]


def _resolution(values: NDArray[np.float32]) -> float:
    """Return the step of the grid of values (N,), in their unit, at least that of float32.

    Values that are not on a grid, such as those of a simulator or of resampled logs, have the step
    of float32.
    """
    rounding = float(np.spacing(np.abs(values).max()))
    levels = np.unique(values.astype(np.float64))
    if len(levels) < FEWEST_LEVELS:
        return rounding
    gaps = np.diff(levels)
    gaps = gaps[gaps > ABOVE_ROUNDING * rounding]
    if len(gaps) < FEWEST_LEVELS - 1:
        return rounding
    # The smallest gaps are one step, or two or three if the levels were converted to another unit.
    smallest = gaps.min(), np.quantile(gaps, SMALLEST, method="lower")
    steps = {float(gap) / count for gap in smallest for count in (1, 2, 3)}
    on_grid = [step for step in steps if _is_grid(gaps, step)]
    return max([rounding, *on_grid])


def _is_grid(gaps: Floats, step: float) -> bool:
    """Return whether the gaps between levels are multiples of a step."""
    counted = gaps / step
    # The error of the step grows with the gap. Above a quarter of a step, a match is a coincidence.
    allowed = np.clip(ON_GRID**2 * counted, ON_GRID, 0.25)
    return bool((np.abs(counted - np.round(counted)) <= allowed).mean() >= MOST)


def training_range(dataset: PackedDataset) -> tuple[Floats, Floats]:
    """Return the smallest and largest training value per channel, (S + A,) each, in units."""
    return _range_of([dataset.rows(item) for item in dataset.of("train")])


def _range_of(rows: Sequence[Packed]) -> tuple[Floats, Floats]:
    low = np.min([part.min(axis=0) for part in rows], axis=0).astype(np.float64)
    high = np.max([part.max(axis=0) for part in rows], axis=0).astype(np.float64)
    return low, high


def outside_training(dataset: PackedDataset) -> dict[str, float]:
    """Return the share of the test rows outside of the training range, by channel.

    Of splits of more than `SAMPLED` episodes, about as many are read, evenly spaced.
    """
    low, high = _range_of(_sampled_rows(dataset, "train"))
    test = _sampled_rows(dataset, "test")
    outside = [((rows < low) | (rows > high)).sum(axis=0) for rows in test]
    shares = np.sum(outside, axis=0) / sum(map(len, test))
    return dict(zip(dataset.columns, shares.tolist(), strict=True))


def _sampled_rows(dataset: PackedDataset, split: str) -> list[Packed]:
    listed = dataset.table.filter(pl.col("split") == split)
    sample = listed.gather_every(max(1, len(listed) // SAMPLED))
    return [dataset.rows(episode) for episode in ListedEpisodes(sample.lazy())]
