"""Errors of one predictor by channel, in units and in training standard deviations.

Symbols: W windows, T horizon, S states.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset.scale import Scale
from kinemill.runtime.window_metrics import QUIETLY, Floats, is_moving, normalized
from kinemill.verify.comparison import MARGIN, NRMSE, Comparison, Unit
from kinemill.verify.significance import Interval, block_lengths, compare_squares, leave_out, widest


@dataclass(frozen=True)
class Errors:
    """Errors of one predictor on one split, at each of T steps of its own predictions.

    Attributes:
        channels: names of the S states.
        units: units of the states.
        dt: time step, s.
        starts: first row of each window in the dataset, (W,).
        history: rows of history in each window, H.
        stride: rows between the starts of windows.
        by_horizon: prediction minus truth by number of predicted steps, (W, S) each, in units;
            angles wrapped to [-π, π] rad. The largest key is T, see `horizons_of`.
        by_step: root mean square over windows after each step, (T, S), in units.
        mae_by_step: mean absolute error over windows after each step, (T, S), in units.
        scale: scale of errors, from the training rows.
        episode: number of the episode of each window, (W,).
    """

    channels: tuple[str, ...]
    units: tuple[str, ...]
    dt: float
    starts: NDArray[np.int64]
    history: int
    stride: int
    by_horizon: Mapping[int, Floats]
    by_step: Floats
    mae_by_step: Floats
    scale: Scale
    episode: NDArray[np.int64]

    @property
    def horizon(self) -> int:
        """Steps predicted, T."""
        return len(self.by_step)

    @property
    def errors(self) -> Floats:
        """Prediction minus truth at the last step, (W, S)."""
        return self.by_horizon[max(self.by_horizon)]

    @property
    def std(self) -> Floats:
        """Standard deviation of each state in training, (S,), in units; the divisor of nRMSE."""
        return self.scale.std

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
        """RMSE / training standard deviation, averaged over the channels that move in training."""
        return float(normalized(self.rmse, self.std))

    @property
    def constant(self) -> tuple[str, ...]:
        """Channels that never move in training, which `nrmse` leaves out."""
        moves = is_moving(self.std)
        return tuple(
            name for name, has_motion in zip(self.channels, moves, strict=True) if not has_motion
        )

    def notes(self) -> dict[str, str]:
        """Return remarks on errors by channel."""
        return dict.fromkeys(self.constant, "at rest in the training rows, left out of nrmse")

    @cached_property
    @QUIETLY
    def log_intervals(self) -> tuple[list[Interval], Interval]:
        """Intervals of the log RMSE of each of the S channels, and of the log nRMSE."""
        # Windows that overlap share rows, so the shortest block is their overlap.
        lengths = block_lengths([self.errors**2], self.episode, self.overlap(self.horizon))
        left_out = leave_out(lengths, self.scale)
        moves = np.flatnonzero(is_moving(self.std))
        apart = [widest(left_out, np.array([index])) for index in range(len(self.channels))]
        return apart, widest(left_out, moves)

    @property
    def effective_n(self) -> float:
        """Effective number of independent episodes or blocks for the interval of nRMSE."""
        return self.log_intervals[1].effective_n

    @property
    def unit(self) -> Unit:
        """Whether `effective_n` counts episodes or blocks of time."""
        return self.log_intervals[1].unit

    def overlap(self, steps: int) -> int:
        """Return the number of consecutive windows that overlap at a horizon of `steps`."""
        return -(-steps // self.stride)  # rounded up

    def intervals(self) -> tuple[Floats, Floats]:
        """Return 95 % intervals of the RMSE of each channel, (S, 2), in units, and of nRMSE, (2,).

        They are NaN if there are too few independent blocks, or if the predictor diverges.
        """
        apart, whole = self.log_intervals
        by_channel = [_about(*pair) for pair in zip(self.rmse.tolist(), apart, strict=True)]
        return np.array(by_channel), np.array(_about(self.nrmse, whole))

    @QUIETLY
    def compare(
        self, reference: "Errors", margin: float = MARGIN
    ) -> dict[str, dict[str, Comparison]]:
        """Compare with a reference on the same windows, at each horizon.

        It returns comparisons by number of steps, as text, then by `nrmse` and each channel that
        moves in training.
        """
        return {
            str(steps): named(
                self.channels,
                compare_squares(
                    (off**2, reference.by_horizon[steps] ** 2),
                    self.scale,
                    self.episode,
                    self.overlap(steps),
                    margin,
                ),
                self.scale,
            )
            for steps, off in self.by_horizon.items()
        }


def named(
    channels: tuple[str, ...], comparisons: list[Comparison], scale: Scale
) -> dict[str, Comparison]:
    """Return comparisons by channel, `nrmse` first, without channels that never move."""
    apart = zip(channels, comparisons[1:], is_moving(scale.std), strict=True)
    return {NRMSE: comparisons[0]} | {
        name: comparison for name, comparison, moves in apart if moves
    }


def _about(value: float, sure: Interval) -> tuple[float, float]:
    """Return the interval of an error, given the interval of its logarithm."""
    with np.errstate(all="ignore"):
        factor = float(np.exp(sure.half)) if np.isfinite(value) else np.nan
    return value / factor, value * factor
