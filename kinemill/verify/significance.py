"""Significance: which model is better, effective sample size, detectable difference.

The statistic is log(nRMSE of the model / nRMSE of the reference) on the same windows: a difference
of log errors, so that it does not matter how large errors are. Its standard error is that of the
delete-one-block jackknife (Efron 1982, chapter 3) over blocks of consecutive windows (Künsch 1989,
The jackknife and the bootstrap for general stationary observations), because errors of
neighboring windows resemble one another. How long they do so is not known: block lengths double
from one horizon up to whole episodes, and the widest interval counts. In contrast to the test of
Diebold and Mariano (1995), which compares mean losses, blocks in which the robot rests and both
models are right neither widen the interval nor count as evidence: the number of independent
blocks is the effective one, (sum m)² / sum m² over the share m of the squared error in each block
(Kish 1965).

Symbols: W windows, S channels, B blocks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from kinemill.runtime.window_metrics import Floats
from kinemill.verify.comparison import MARGIN, Comparison, Unit
from kinemill.verify.scale import Scale

CONFIDENCE = 0.975  # two-sided 95 %
POWER = 0.8  # of `detectable`
# Fewer blocks make a standard error that is itself too uncertain. Whole episodes always count, with
# at least one degree of freedom: without them shorter blocks would decide, and where one episode
# has most of the error these are not independent. Then 12.6 % of equal models were found different
# at 5 test episodes (benchmarks/prove_gate.py, outlier episodes) instead of at most 5 %.
FEWEST_BLOCKS = 6.0
FEWEST_ALONE = 3.0  # episodes, where there are no shorter blocks to check them by
LEAST_FREEDOM = 1.0  # degrees of freedom
_DIGITS = 9  # of effective numbers, which are sums of rounded shares


@dataclass(frozen=True)
class Interval:
    """Confidence interval of an estimate on a log scale.

    Attributes:
        half: half width of its 95 % interval; NaN with too few independent blocks.
        error: standard error.
        effective_n: independent episodes or blocks.
        unit: which of the two.
    """

    half: float
    error: float
    effective_n: float
    unit: Unit

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the standard error."""
        return max(self.effective_n - 1.0, LEAST_FREEDOM)


@dataclass(frozen=True)
class Blocks:
    """Squared errors summed over blocks of consecutive windows.

    Attributes:
        sums: of each model that is compared, (M, B, S), in squared units.
        counts: windows in each block, (B,).
        unit: whether blocks are whole episodes.
        fewest: independent blocks that make an interval.
    """

    sums: Floats
    counts: Floats
    unit: Unit
    fewest: float


def block_lengths(
    squares: Sequence[Floats], episode: NDArray[np.int64], shortest: int
) -> list[Blocks]:
    """Return the blocks of all lengths, from `shortest` windows, doubling, to whole episodes.

    Args:
        squares: squared errors of each model at the same windows, (W, S), in their order in time.
        episode: of each window, (W,); windows of one episode lie together.
        shortest: windows that overlap one another, so that less is not independent.
    """
    starts = np.flatnonzero(np.diff(episode, prepend=episode[0] - 1))
    size = np.diff(starts, append=len(episode))
    position = np.arange(len(episode)) - np.repeat(starts, size)
    stacked = np.stack(squares)
    blocks, length = list[Blocks](), max(shortest, 1)
    while length < size.max():
        blocks.append(_blocks(stacked, np.flatnonzero(position % length == 0), "blocks"))
        length *= 2
    return [*blocks, _blocks(stacked, starts, "episodes")]


def episode_blocks(squares: Sequence[Floats], counts: Floats) -> list[Blocks]:
    """Return blocks that are whole episodes alone.

    Args:
        squares: mean squared errors of each model over each episode, (E, S).
        counts: steps that were predicted in each, (E,).
    """
    return [Blocks(np.stack(squares) * counts[:, None], counts, "episodes", FEWEST_ALONE)]


def _blocks(squares: Floats, starts: NDArray[np.int64], unit: Unit) -> Blocks:
    fewest = 0.0 if unit == "episodes" else FEWEST_BLOCKS
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
        squares: squared errors of the model and of the reference at the same windows, (W, S).
        scale: what errors count in.
        episode: of each window, (W,), see `block_lengths`.
        shortest: windows that overlap one another.
        margin: of `p_worse`.

    Returns:
        Of the mean over the channels that move in training first, then of every channel; of one
        that does not move all numbers are NaN.
    """
    return compare_blocks(block_lengths(squares, episode, shortest), scale, margin)


@np.errstate(all="ignore")
def compare_blocks(
    lengths: Sequence[Blocks], scale: Scale, margin: float = MARGIN
) -> list[Comparison]:
    """Compare a model with a reference; see `compare_squares`."""
    moves = np.flatnonzero(scale.std > 0.0)
    selections = [moves, *(np.array([index]) for index in range(len(scale.std)))]
    left_out = leave_out(lengths, scale)
    return [_compare(left_out, indexes, margin) for indexes in selections]


@dataclass(frozen=True)
class LeftOut:
    """Errors of each model without one block after the other, in training spreads.

    Attributes:
        whole: RMS error over all blocks, (M, S).
        remaining: RMS error without each block, (M, B, S).
        share: of the squared error in each block, (M, B, S).
        std: in training, (S,); NaN of a channel that never moves.
        blocks: that were left out.
    """

    whole: Floats
    remaining: Floats
    share: Floats
    std: Floats
    blocks: Blocks


@np.errstate(all="ignore")
def leave_out(lengths: Sequence[Blocks], scale: Scale) -> list[LeftOut]:
    """Return the errors without one block after the other, for blocks of each length.

    An error below the sensor resolution counts as the resolution.
    """
    std = np.where(scale.std > 0.0, scale.std, np.nan)
    least, results = scale.floor**2, list[LeftOut]()
    for blocks in lengths:
        total, windows = blocks.sums.sum(axis=1, keepdims=True), blocks.counts.sum()
        remaining = (total - blocks.sums) / (windows - blocks.counts)[:, None]
        whole, remaining = (
            np.sqrt(np.maximum(squares, least)) / std for squares in (total / windows, remaining)
        )
        share = np.nan_to_num(blocks.sums / total)
        results.append(LeftOut(whole[:, 0], remaining, share, std, blocks))
    return results


def _compare(left_out: Sequence[LeftOut], indexes: NDArray[np.int64], margin: float) -> Comparison:
    """Compare by the mean over the channels at `indexes`."""
    whole = left_out[-1].whole[:, indexes]
    if not len(indexes) or np.isnan(left_out[-1].std[indexes]).any():
        return _without_interval(math.nan, math.nan)
    error, reference = (
        value if math.isfinite(value) else math.inf for value in whole.mean(axis=1).tolist()
    )
    if math.isinf(error) or math.isinf(reference):
        return _without_interval(error, reference)
    interval = widest(left_out, indexes)
    middle, half = math.log(error / reference), interval.half
    beyond = middle - math.log1p(margin)
    steps = beyond / interval.error if interval.error > 0.0 else math.copysign(math.inf, beyond)
    quantile = float(stdtrit(interval.freedom, POWER))
    return Comparison(
        error=error,
        reference=reference,
        low=float(np.exp(middle - half)),
        high=float(np.exp(middle + half)),
        effective_n=interval.effective_n,
        unit=interval.unit,
        detectable=-math.expm1(-(half + quantile * interval.error)),
        p_worse=float(stdtr(interval.freedom, -steps)) if math.isfinite(half) else math.nan,
    )


def _without_interval(error: float, reference: float) -> Comparison:
    """Return the comparison of models of which one diverges, or on a channel that never moves."""
    nan = math.nan
    return Comparison(error, reference, nan, nan, 0.0, "blocks", nan, p_worse=nan)


@np.errstate(all="ignore")
def widest(left_out: Sequence[LeftOut], indexes: NDArray[np.int64]) -> Interval:
    """Return the widest interval of all block lengths with enough independent blocks.

    Of log(error) of one model, of log(error of the first / error of the second) of two; errors are
    averaged over the channels at `indexes`.
    """
    intervals = [_jackknife(one, indexes) for one in left_out]
    usable = [one for one in intervals if math.isfinite(one.half)]
    if usable:
        return max(usable, key=lambda one: one.half)
    return max(intervals, key=lambda one: one.effective_n)


def _jackknife(left_out: LeftOut, indexes: NDArray[np.int64]) -> Interval:
    """Return the interval by leaving out one block after the other (Efron 1982, eq. 3.3)."""
    blocks, count = left_out.blocks, len(left_out.blocks.counts)
    effective = _effective(left_out, indexes)
    if count < 2 or effective < blocks.fewest:
        return Interval(math.nan, math.nan, effective, blocks.unit)
    logs = np.log(left_out.remaining[:, :, indexes].mean(axis=2))
    statistic = logs[0] - logs[1] if len(logs) > 1 else logs[0]
    apart = statistic - statistic.mean()
    error = math.sqrt((count - 1) / count * float(apart @ apart))
    quantile = float(stdtrit(max(effective - 1.0, LEAST_FREEDOM), CONFIDENCE))
    return Interval(quantile * error, error, effective, blocks.unit)


def _effective(left_out: LeftOut, indexes: NDArray[np.int64]) -> float:
    """Return how many independent blocks there are, (sum m)² / sum m².

    The share m of a block is that of the squared error in it, of each channel as much as it weighs
    in the average, and of each model equally, because each can change the ratio.
    """
    weight = left_out.whole[:, indexes]
    weight = weight / weight.sum(axis=1, keepdims=True)
    share = (weight[:, None] * left_out.share[:, :, indexes]).sum(axis=(0, 2))
    if not share.sum() > 0.0:
        share = left_out.blocks.counts
    return round(float(share.sum() ** 2 / (share @ share)), _DIGITS)
