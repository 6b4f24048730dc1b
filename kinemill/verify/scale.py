"""Scale of errors: the standard deviation of each state in the training data.

Errors are divided by the standard deviation of the TRAINING rows. With that of a test split in
which a joint rests, every error of that joint would look large. Neither the divisor nor an error
counts below the sensor resolution.

Symbols: N rows, S states, E episodes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.runtime import wrapped
from kinemill.runtime.window_metrics import Floats
from kinemill.verify.results import Accuracy

# Rows that the sensor resolution is estimated from; more levels of a sensor are not needed.
RESOLUTION_ROWS = 100_000
# Two or three levels are a mode, such as contact, whose steps are no property of a sensor.
FEWEST_LEVELS = 4
# Quantile of the gaps between levels that is a small one, though not an outlier.
SMALLEST = 0.02
# Shares of a step: how far from a multiple of it levels may lie, and how many of them have to.
ON_GRID, MOST = 0.05, 0.95
# A grid can be distinguished from rounding only where its step is this many float32 steps.
ABOVE_ROUNDING = 16.0


@dataclass(frozen=True, eq=False)
class Scale:
    """Scale of errors of states.

    Attributes:
        std: standard deviation in training, at least `resolution`, (S,), in units; 0 for a
            state that never moves there.
        resolution: smallest step that the recorded values can make, (S,), in units.
    """

    std: Floats
    resolution: Floats

    @property
    def floor(self) -> Floats:
        """RMS of what rounding to the resolution alone does, (S,): a step over the root of 12."""
        return self.resolution / np.sqrt(12.0)


_SCALES: WeakKeyDictionary[PackedDataset, Scale] = WeakKeyDictionary()


def training_scale(dataset: PackedDataset) -> Scale:
    """Return the scale of errors by the training rows; without training rows, by all rows."""
    scale = _SCALES.get(dataset)
    if scale is None:
        angle = np.array([name in dataset.angles for name in dataset.states])
        scale = _SCALES[dataset] = scale_of(dataset, np.arange(len(dataset.states)), angle)
    return scale


def stated_scale(accuracy: Mapping[str, Accuracy], states: Sequence[str]) -> Scale | None:
    """Return the scale that the errors of a model state in a document; None if they do not."""
    channels = accuracy["model"].channels if "model" in accuracy else {}
    if any(name not in channels for name in states):
        return None
    values = np.array([(channels[name].std, channels[name].resolution) for name in states])
    return Scale(values[:, 0], values[:, 1]) if np.isfinite(values).all() else None


def training_std(dataset: PackedDataset) -> Floats:
    """Return the standard deviation of each state in training, (S,), in units.

    It is at least the sensor resolution, and 0 where a state never moves in training.
    """
    return training_scale(dataset).std


def scale_of(dataset: PackedDataset, columns: NDArray[np.int64], angle: NDArray[np.bool_]) -> Scale:
    """Return the scale of errors of some columns (S,), of which those in `angle` (S,) are angles.

    An angle's standard deviation is taken the short way round, as its errors are: a joint that
    turns for ever would otherwise have an endless spread, and no error would count.
    """
    episodes = dataset.of("train") or dataset.episodes
    std = _std([dataset.rows(one)[:, columns] for one in episodes], angle)
    sample = np.concatenate(
        [dataset.view(rows.start, rows.stop)[:, columns] for rows in _sample(episodes)]
    )
    resolution = np.array([_resolution(column) for column in sample.T])
    std = np.where(std > 0.0, np.maximum(std, resolution), 0.0)
    return Scale(std, resolution)


def _std(parts: list[NDArray[np.float32]], angle: NDArray[np.bool_]) -> Floats:
    """Return the standard deviation of each column over all rows, (S,); 0 where all are equal."""
    rows = sum(len(part) for part in parts)
    turns = sum(np.exp(1j * part[:, angle].astype(np.float64)).sum(axis=0) for part in parts)
    origin = parts[0][0].astype(np.float64)
    origin[angle] = np.angle(turns)  # circular mean: Mardia and Jupp, Directional Statistics, 2.2
    total, squares = np.zeros(len(origin)), np.zeros(len(origin))
    moves = np.zeros(len(origin), dtype=bool)
    for part in parts:
        apart = wrapped(part.astype(np.float64) - origin, angle)
        total += apart.sum(axis=0)
        squares += (apart**2).sum(axis=0)
        moves |= (part != parts[0][0]).any(axis=0)
    variance = squares / rows - (total / rows) ** 2
    return np.where(moves, np.sqrt(np.maximum(variance, 0.0)), 0.0)


def _sample(episodes: list[PackedEpisode]) -> list[slice]:
    """Return the first rows of each episode, at most `RESOLUTION_ROWS` in total."""
    share = min(1.0, RESOLUTION_ROWS / max(sum(one.rows for one in episodes), 1))
    return [slice(one.start, one.start + max(int(one.rows * share), 1)) for one in episodes]


def _resolution(values: NDArray[np.float32]) -> float:
    """Return the step of the grid on which values (N,) lie, at least that of float32 there.

    Values on no grid, such as those of a simulator or of resampled logs, have none but float32's.
    """
    rounding = float(np.spacing(np.abs(values).max()))
    levels = np.unique(values.astype(np.float64))
    if len(levels) < FEWEST_LEVELS:
        return rounding
    gaps = np.diff(levels)
    gaps = gaps[gaps > ABOVE_ROUNDING * rounding]
    if len(gaps) < FEWEST_LEVELS - 1:
        return rounding
    # The smallest gaps are one step or, where levels were converted to other units, two or three.
    smallest = gaps.min(), np.quantile(gaps, SMALLEST, method="lower")
    steps = {float(gap) / count for gap in smallest for count in (1, 2, 3)}
    on_grid = [step for step in steps if _is_grid(gaps, step)]
    return max([rounding, *on_grid])


def _is_grid(gaps: Floats, step: float) -> bool:
    """Return whether gaps between levels are multiples of a step."""
    counted = gaps / step
    # The error of the step adds up over a gap; from a quarter of a step on all is a coincidence.
    allowed = np.clip(ON_GRID**2 * counted, ON_GRID, 0.25)
    return bool((np.abs(counted - np.round(counted)) <= allowed).mean() >= MOST)
