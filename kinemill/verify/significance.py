"""Significance of differences between models, effective sample size, detectable difference.

The statistic is log(nRMSE of the model / nRMSE of the reference) on the same windows, which does
not depend on the size of the errors. Its standard error is that of the delete-one-block jackknife
(Efron 1982, chapter 3) over blocks of consecutive windows (Künsch 1989, The jackknife and the
bootstrap for general stationary observations), because errors of neighboring windows are
correlated. The length of this correlation is not known. So block lengths double from one horizon
up to whole episodes, and the widest interval counts.

Blocks in which the robot rests and both models are right neither widen the interval nor count as
evidence, unlike in the test of Diebold and Mariano (1995), which compares mean losses. The number
of independent blocks is the effective one of Kish (1965): (sum m)² / sum m² over the share m of the
squared error in each block.

Symbols: W windows, S channels, B blocks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset.scale import Scale
from kinemill.runtime.window_metrics import Floats, is_moving
from kinemill.verify.comparison import MARGIN, Comparison, Unit

CONFIDENCE = 0.975  # two-sided 95 %
POWER = 0.8  # power of `detectable`
# With fewer blocks the standard error is itself too uncertain. Whole episodes always count, with at
# least one degree of freedom. Without them shorter blocks would decide, which are not independent
# if one episode has most of the error: 12.6 % of equal models were then found different with 5 test
# episodes (benchmarks/prove_gate.py, outlier episodes), instead of at most 5 %.
FEWEST_BLOCKS = 6.0
FEWEST_ALONE = 3.0  # fewest episodes if there are no shorter blocks
LEAST_FREEDOM = 1.0  # degrees of freedom
_DIGITS = 9  # digits of effective numbers, so that rounding of the shares does not show


@dataclass(frozen=True)
class Interval:
    """Confidence interval of an estimate on a log scale.

    Attributes:
        half: half width of the 95 % interval; NaN with too few independent blocks.
        error: standard error.
        effective_n: effective number of independent episodes or blocks.
        unit: whether `effective_n` counts episodes or blocks.
    """

    half: float
    error: float
    effective_n: float
    unit: Unit

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the standard error, at least `LEAST_FREEDOM`."""
        return max(self.effective_n - 1.0, LEAST_FREEDOM)


@dataclass(frozen=True)
class Blocks:
    """Squared errors summed over blocks of consecutive windows.

    Attributes:
        sums: sums of squared errors of each of M models, (M, B, S), in squared units.
        counts: number of windows in each block, (B,).
        unit: whether the blocks are whole episodes.
        fewest: fewest independent blocks that give an interval.
    """

    sums: Floats
    counts: Floats
    unit: Unit
    fewest: float


def block_lengths(
    squares: Sequence[Floats], episode: NDArray[np.int64], shortest: int
) -> list[Blocks]:
    """Return blocks of all lengths: `shortest` windows, double, and so on, up to whole episodes.

    Args:
        squares: squared errors of each model on the same windows, (W, S) each, in squared units,
            in order of time.
        episode: episode of each window, (W,); windows of one episode are consecutive.
        shortest: number of windows that overlap each other; shorter blocks are not independent.
    """
    starts = np.flatnonzero(np.diff(episode, prepend=episode[0] - 1))
    size = np.diff(starts, append=len(episode))
    position = np.arange(len(episode)) - np.repeat(
        starts, size
    )  # number of a window in its episode
    stacked = np.stack(squares)
    blocks = list[Blocks]()
    length = max(shortest, 1)
    while length < size.max():
        blocks.append(_blocks(stacked, np.flatnonzero(position % length == 0), "blocks"))
        length *= 2
    return [*blocks, _blocks(stacked, starts, "episodes")]


def episode_blocks(squares: Sequence[Floats], counts: Floats) -> list[Blocks]:
    """Return only the blocks that are whole episodes.

    Args:
        squares: mean squared errors of each model over each episode, (E, S) each, in squared units.
        counts: number of predicted steps of each episode, (E,).
    """
    return [Blocks(np.stack(squares) * counts[:, None], counts, "episodes", FEWEST_ALONE)]


def _blocks(squares: Floats, starts: NDArray[np.int64], unit: Unit) -> Blocks:
    # One or two episodes have no spread to speak of, so blocks within them decide, if there are
    # enough; that one of few episodes has most of the error shows from the third one on.
    alone = FEWEST_ALONE if len(starts) < FEWEST_ALONE else 0.0
    fewest = alone if unit == "episodes" else FEWEST_BLOCKS
    counts = np.diff(starts, append=squares.shape[1]).astype(np.float64)
    return Blocks(np.add.reduceat(squares, starts, axis=1), counts, unit, fewest)


def compare_squares(
    squares: tuple[Floats, Floats],
    scale: Scale,
    episode: NDArray[np.int64],
    shortest: int = 1,
    margin: float = MARGIN,
) -> list[Comparison]:
    """Compare a model with a reference, averaged over channels and by channel.

    Args:
        squares: squared errors of the model and of the reference on the same windows, (W, S) each,
            in squared units.
        scale: scale of errors.
        episode: episode of each window, (W,), see `block_lengths`.
        shortest: number of windows that overlap each other.
        margin: margin of `p_worse`.

    Returns:
        The comparison of the mean over the channels that move in training, then of every channel.
        For a channel that does not move, all numbers are NaN.
    """
    return compare_blocks(block_lengths(squares, episode, shortest), scale, margin)


@np.errstate(all="ignore")
def compare_blocks(
    lengths: Sequence[Blocks], scale: Scale, margin: float = MARGIN
) -> list[Comparison]:
    """Compare a model with a reference by blocks of sums (2, B, S); see `compare_squares`."""
    moves = np.flatnonzero(is_moving(scale.std))
    selections = [moves, *(np.array([index]) for index in range(len(scale.std)))]
    left_out = leave_out(lengths, scale)
    return [_compare(left_out, indexes, margin) for indexes in selections]


@dataclass(frozen=True)
class LeftOut:
    """Errors of each model with one block left out at a time, in training standard deviations.

    Attributes:
        whole: RMS error over all blocks, (M, S).
        remaining: RMS error without each block, (M, B, S).
        share: share of the squared error in each block, (M, B, S).
        std: standard deviation in training, (S,), in units; NaN for a channel that never moves.
        tolerance: difference of errors that means nothing, (S,), in training standard deviations.
    """

    whole: Floats
    remaining: Floats
    share: Floats
    std: Floats
    tolerance: Floats
    blocks: Blocks


@np.errstate(all="ignore")
def leave_out(lengths: Sequence[Blocks], scale: Scale) -> list[LeftOut]:
    """Return the errors with one block left out at a time, for blocks of each length.

    Sums (M, B, S), in squared units, become errors (M, B, S) in training standard deviations. An
    error below that of rounding to the sensor resolution counts as that error.
    """
    std = np.where(is_moving(scale.std), scale.std, np.nan)
    least = scale.floor**2
    results = list[LeftOut]()
    for blocks in lengths:
        total = blocks.sums.sum(axis=1, keepdims=True)
        windows = blocks.counts.sum()
        remaining = (total - blocks.sums) / (windows - blocks.counts)[:, None]
        whole, remaining = (
            np.sqrt(np.maximum(squares, least)) / std for squares in (total / windows, remaining)
        )
        share = np.nan_to_num(blocks.sums / total)
        results.append(LeftOut(whole[:, 0], remaining, share, std, scale.tolerance / std, blocks))
    return results


def _compare(left_out: Sequence[LeftOut], indexes: NDArray[np.int64], margin: float) -> Comparison:
    """Compare the first model with the second by the mean over the channels at `indexes`."""
    from scipy.special import stdtr, stdtrit  # 0.2 s, for runs with comparisons alone

    # All lengths have the same RMS error; the last one, whole episodes, always exists.
    whole = left_out[-1].whole[:, indexes]
    if not len(indexes) or np.isnan(left_out[-1].std[indexes]).any():
        return _without_interval(math.nan, math.nan)
    error, reference = (
        value if math.isfinite(value) else math.inf for value in whole.mean(axis=1).tolist()
    )
    if math.isinf(error) or math.isinf(reference):
        return _without_interval(error, reference)
    interval = widest(left_out, indexes)
    middle = math.log(error / reference)
    half = interval.half
    beyond = middle - math.log1p(margin)
    # Without a standard error, all blocks have the same ratio, and the test is certain.
    steps = beyond / interval.error if interval.error > 0.0 else math.copysign(math.inf, beyond)
    # For a power of POWER, a difference exceeds the half width by this many standard errors.
    quantile = float(stdtrit(interval.freedom, POWER))
    return Comparison(
        error=error,
        reference=reference,
        low=float(np.exp(middle - half)),
        high=float(np.exp(middle + half)),
        effective_n=interval.effective_n,
        unit=interval.unit,
        detectable=-math.expm1(-(half + quantile * interval.error)),
        # One-sided test of a ratio above 1 + margin, Student's t with effective degrees of freedom.
        p_worse=float(stdtr(interval.freedom, -steps)) if math.isfinite(half) else math.nan,
        tolerance=float(left_out[-1].tolerance[indexes].mean()),
        episodes=len(left_out[-1].blocks.counts),
    )


def _without_interval(error: float, reference: float) -> Comparison:
    """Return a comparison without an interval: a model diverges, or the channel never moves."""
    nan = math.nan
    return Comparison(error, reference, nan, nan, 0.0, "blocks", nan, p_worse=nan)


@np.errstate(all="ignore")
def widest(left_out: Sequence[LeftOut], indexes: NDArray[np.int64]) -> Interval:
    """Return the widest interval among all block lengths with enough independent blocks.

    For one model it is the interval of log(error), for two that of log(error of the first / error
    of the second). Errors are averaged over the channels at `indexes`, (I,).
    """
    intervals = [_jackknife(estimates, indexes) for estimates in left_out]
    usable = [interval for interval in intervals if math.isfinite(interval.half)]
    if usable:
        return max(usable, key=lambda interval: interval.half)
    return max(intervals, key=lambda interval: interval.effective_n)


def _jackknife(left_out: LeftOut, indexes: NDArray[np.int64]) -> Interval:
    """Return the interval from leaving out one block at a time (Efron 1982, eq. 3.3)."""
    from scipy.special import stdtrit

    blocks = left_out.blocks
    count = len(left_out.blocks.counts)
    effective = _effective(left_out, indexes)
    if count < 2 or effective < blocks.fewest:
        return Interval(math.nan, math.nan, effective, blocks.unit)
    logs = np.log(left_out.remaining[:, :, indexes].mean(axis=2))
    # Both models leave out the same block, so errors that they share cancel.
    statistic = logs[0] - logs[1] if len(logs) > 1 else logs[0]
    apart = statistic - statistic.mean()
    error = math.sqrt((count - 1) / count * float(apart @ apart))
    quantile = float(stdtrit(max(effective - 1.0, LEAST_FREEDOM), CONFIDENCE))
    return Interval(quantile * error, error, effective, blocks.unit)


def _effective(left_out: LeftOut, indexes: NDArray[np.int64]) -> float:
    """Return the effective number of independent blocks, (sum m)² / sum m² (Kish 1965).

    m is the share of the squared error in a block. Channels have the weight that they have in the
    average, and all models have the same weight, because each can change the ratio.
    """
    weight = left_out.whole[:, indexes]
    weight = weight / weight.sum(axis=1, keepdims=True)
    share = (weight[:, None] * left_out.share[:, :, indexes]).sum(axis=(0, 2))
    # Without any error, blocks weigh by their number of windows.
    if not share.sum() > 0.0:
        share = left_out.blocks.counts
    return round(float(share.sum() ** 2 / (share @ share)), _DIGITS)
