"""How far a predictor is off, per channel, in units, over the horizon; with intervals.

Symbols: W windows, H history, T horizon, S states, A actions, G groups that are resampled.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.errors import BadInput
from kinemill.runtime.windows import (
    QUIETLY,
    Floats,
    Predictor,
    Windows,
    cut_windows,
    deviations,
)

CHUNK = 1024  # windows predicted at once, bounds memory
RESAMPLES = 2000
FEW_EPISODES = 5


def gather(
    dataset: PackedDataset, starts: NDArray[np.int64], history: int, horizon: int
) -> Windows:
    """Cut windows that begin at rows `starts` (W,) out of a dataset."""
    return cut_windows(dataset.values, len(dataset.states), starts, history, horizon)


def window_starts(dataset: PackedDataset, split: str, rows: int, stride: int) -> NDArray[np.int64]:
    """Return the first rows (W,) of the windows of `split`.

    Raises:
        BadInput: no episode of the split is long enough.
    """
    starts = np.asarray(dataset.window_starts(split, rows, stride), dtype=np.int64)
    if len(starts) == 0:
        longest = max((item.stop - item.start for item in dataset.of(split)), default=0)
        raise BadInput(
            f"{split} split",
            f"its longest episode has {longest} rows",
            expected=f"at least history + horizon = {rows}",
            fix="lower verify.horizon, or give the split longer episodes",
        )
    return starts


def is_angle(dataset: PackedDataset) -> NDArray[np.bool_]:
    """Tell which states are angles, (S,)."""
    return np.array([name in dataset.angles for name in dataset.states])


@dataclass(frozen=True)
class Errors:
    """Errors of one predictor on one split, at each of T steps of its own predictions.

    Attributes:
        channels: names of the S states.
        units: their units.
        dt: time step, s.
        starts: first row of each window in the dataset, (W,).
        history: rows known in each window, H.
        stride: rows between the starts of windows.
        errors: prediction minus truth at the last step, (W, S); angles wrapped to [-π, π].
        by_step: root mean square over windows after each step, (T, S).
        mae_by_step: mean absolute error over windows after each step, (T, S).
        spread: standard deviation of each state on the split, (S,); what nrmse divides by.
        group: what each window is resampled with, (W,): its episode, or its block of time.
        grouped_by: `episodes` or `blocks`.
    """

    channels: tuple[str, ...]
    units: tuple[str, ...]
    dt: float
    starts: NDArray[np.int64]
    history: int
    stride: int
    errors: Floats
    by_step: Floats
    mae_by_step: Floats
    spread: Floats
    group: NDArray[np.int64]
    grouped_by: str

    @property
    def horizon(self) -> int:
        """Steps predicted, T."""
        return len(self.by_step)

    @property
    def rmse(self) -> Floats:
        """Root mean square error at the last step, (S,), in units."""
        return self.by_step[-1]

    @property
    def mean(self) -> Floats:
        """RMSE averaged over the steps, (S,), in units."""
        return self.by_step.mean(axis=0)

    @property
    def mae(self) -> Floats:
        """Mean absolute error at the last step, (S,), in units."""
        return np.abs(self.errors).mean(axis=0)

    @property
    def mse(self) -> Floats:
        """Mean square error at the last step, (S,), in units squared."""
        return self.by_step[-1] ** 2

    @property
    def nrmse(self) -> float:
        """RMSE over the spread of each channel, averaged over the channels that move at all."""
        return float(normalised(self.rmse, self.spread))

    @property
    def constant(self) -> tuple[str, ...]:
        """Channels that never move on the split: nrmse leaves them out."""
        moves = moving(self.spread)
        return tuple(name for name, one in zip(self.channels, moves, strict=True) if not one)

    def notes(self) -> dict[str, str]:
        """Return what a reader has to know of a channel's error, by channel."""
        return dict.fromkeys(self.constant, "constant in the measured rows, left out of nrmse")

    @property
    def effective_n(self) -> int:
        """Groups that are resampled: what the intervals are worth."""
        return len(np.unique(self.group))

    def resampled(self) -> Floats:
        """Return bootstrap replicates of the RMSE per channel, (R, S).

        Whole groups are drawn, because neighbouring windows err alike. The draws depend on the
        groups alone, so replicates of two predictors on the same windows are paired.
        """
        _, group = np.unique(self.group, return_inverse=True)
        count = int(group.max()) + 1
        sums = np.zeros((count, len(self.channels)))
        np.add.at(sums, group, self.errors**2)
        sizes = np.bincount(group, minlength=count)
        rng = np.random.default_rng(0)
        draws = rng.multinomial(count, np.full(count, 1.0 / count), size=RESAMPLES)
        return np.sqrt((draws @ sums) / (draws @ sizes)[:, None])

    @QUIETLY
    def intervals(self) -> tuple[Floats, Floats]:
        """Return 95 % intervals: of the RMSE per channel (S, 2), and of nrmse (2,)."""
        if self.effective_n < 2:
            return np.full((len(self.channels), 2), np.nan), np.full(2, np.nan)
        draws = self.resampled()
        whole = normalised(draws, self.spread)
        levels = [2.5, 97.5]
        return np.percentile(draws, levels, axis=0).T, np.percentile(whole, levels)

    @QUIETLY
    def ratio_interval(
        self, reference: "Errors", channel: str | None = None
    ) -> tuple[float, float]:
        """Return the 95 % interval of nrmse, or of a channel's RMSE, over the reference's.

        It is drawn on the same groups for both.
        """
        if self.effective_n < 2:
            return float("nan"), float("nan")
        draws = self.resampled(), reference.resampled()
        if channel is None:
            mine, other = normalised(draws[0], self.spread), normalised(draws[1], reference.spread)
        else:
            mine, other = (each[:, self.channels.index(channel)] for each in draws)
        low, high = np.percentile(mine / other, [2.5, 97.5])
        return float(low), float(high)


def moving(spread: Floats) -> NDArray[np.bool_]:
    """Return which channels move at all, (S,), by their standard deviations (S,)."""
    return spread > 1e-12


def normalised(rmse: Floats, spread: Floats) -> Any:
    """Return RMSE (..., S) over spread (S,), averaged over the channels that move at all."""
    moves = moving(spread)
    return (rmse[..., moves] / spread[moves]).mean(axis=-1) if moves.any() else np.nan


@QUIETLY
def evaluate(
    predictor: Predictor,
    dataset: PackedDataset,
    split: str = "test",
    horizon: int = 25,
    stride: int = 5,
    history: int | None = None,
) -> Errors:
    """Measure a predictor under the true actions, fed with its own predictions.

    Args:
        predictor: a `Simulator` or a baseline.
        dataset: what to measure on; channels in the predictor's order.
        split: `train`, `validation` or `test`.
        horizon: steps of its own predictions, T.
        stride: rows between the starts of windows.
        history: rows known in each window, default the predictor's own; give the longest of several
            predictors to measure all on the same windows.

    Raises:
        BadInput: other channels than the dataset's, or no window.
    """
    _same_channels(predictor, dataset)
    known = max(history or 0, predictor.history)
    starts = window_starts(dataset, split, known + horizon, stride)
    squares, last = np.zeros((horizon, len(dataset.states))), list[Floats]()
    sizes = np.zeros_like(squares)
    for part in _chunks(starts):
        windows = gather(dataset, part, known, horizon)
        error = deviations(predictor, windows, is_angle(dataset))
        squares += (error**2).sum(axis=0)
        sizes += np.abs(error).sum(axis=0)
        last.append(error[:, -1])
    group, grouped_by = groups(dataset, split, starts, horizon)
    return Errors(
        channels=tuple(dataset.states),
        units=tuple(dataset.units[name] for name in dataset.states),
        dt=dataset.dt,
        starts=starts,
        history=known,
        stride=stride,
        errors=np.concatenate(last),
        by_step=np.sqrt(squares / len(starts)),
        mae_by_step=sizes / len(starts),
        spread=spread_of(dataset, split),
        group=group,
        grouped_by=grouped_by,
    )


def spread_of(dataset: PackedDataset, split: str) -> Floats:
    """Return the standard deviation of each state on a split, (S,), in units."""
    rows = np.concatenate([np.arange(item.start, item.stop) for item in dataset.of(split)])
    states = np.asarray(dataset.values)[rows, : len(dataset.states)]
    return states.astype(np.float64).std(axis=0)


def _chunks(starts: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for first in range(0, len(starts), CHUNK):
        yield starts[first : first + CHUNK]


def _same_channels(predictor: Predictor, dataset: PackedDataset) -> None:
    for role in ("states", "actions"):
        own, given = getattr(predictor, role, None), list(getattr(dataset, role))
        if own is not None and list(own) != given:
            raise BadInput(
                f"{role} of the model", f"are {list(own)}", expected=f"{given}, as in the dataset"
            )


def groups(
    dataset: PackedDataset, split: str, starts: NDArray[np.int64], horizon: int
) -> tuple[NDArray[np.int64], str]:
    """Return what each window is resampled with: its episode, or a block of time when few."""
    first_rows = np.sort([item.start for item in dataset.of(split)])
    episode = np.searchsorted(first_rows, starts, side="right") - 1
    if len(np.unique(episode)) >= FEW_EPISODES:
        return episode.astype(np.int64), "episodes"
    rows = max(round(1.0 / dataset.dt), horizon)  # at least 1 s and one horizon
    block = (starts - first_rows[episode]) // rows
    return episode * (len(dataset.values) // rows + 1) + block, "blocks"
