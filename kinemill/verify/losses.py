"""Losses: horizons and channels at which a model is significantly worse than a reference.

Each pair of horizon and channel is a separate hypothesis, so some are rejected by chance. The
procedure of Holm (1979) bounds the probability of any false rejection among all of them, for any
dependence between them. At each horizon and on each channel only the strongest reference is tested,
so that many references do not hide a loss.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

from kinemill.task.promote import FREE_RUN, REFERENCES, TRIVIAL, Promote
from kinemill.verify.comparison import NRMSE, Comparison, horizons_of

# By horizon (steps as text, or "free_run"), then by channel (a state, or "nrmse" for their mean).
Horizons = Mapping[str, Mapping[str, Comparison]]
# A difference below the tolerance of a channel is no loss: see `Comparison.is_equal`.
Why = Literal["significant", "gross", "diverges", "not measured"]

CHAMPION = "champion"  # name of the champion among the references
SIGNIFICANCE = 0.05  # probability of a false loss among all comparisons
# A larger ratio of errors is a loss without a test if the interval excludes 1, or if there are too
# few episodes for an interval.
GROSS = 2.0
FEWEST = 2.0  # independent episodes; with fewer an interval is so wide that it excludes nothing
# Errors accumulate over whole episodes. If the error of every reference exceeds this number of
# training standard deviations, predictions have little information, and only a ratio above the
# second number counts.
SKILL = 0.8
GROSS_WITHOUT_SKILL = 3.0


@dataclass(frozen=True)
class Loss:
    """One comparison in which the model is worse.

    Attributes:
        horizon: number of steps as text, such as `25`, or `free_run`.
        channel: a state, or `nrmse`.
        why: the model is significantly worse; grossly worse, which needs no test; diverges but the
            reference does not; or the comparison is missing.
        comparison: the comparison; None if it is missing.
    """

    reference: str
    horizon: str
    channel: str
    why: Why
    comparison: Comparison | None = None


@dataclass(frozen=True)
class Counted:
    """Comparisons that count in the gate, from `promote` of a task.

    Attributes:
        horizons: steps ahead as text, `free_run` last; see `counted_horizons`.
        channels: names of states; None for all of them and their mean.
        margin: relative difference by which a model may be worse.
    """

    horizons: tuple[str, ...]
    channels: tuple[str, ...] | None
    margin: float

    @classmethod
    def of(cls, promote: Promote, horizon: int) -> Self:
        """Return the comparisons that count for a task whose `verify.horizon` is `horizon`."""
        channels = None if promote.channels is None else tuple(promote.channels)
        return cls(counted_horizons(promote, horizon), channels, promote.margin)

    @property
    def steps(self) -> tuple[int, ...]:
        """Horizons in steps, without whole episodes."""
        return tuple(int(horizon) for horizon in self.horizons if horizon != FREE_RUN)


def counted_horizons(promote: Promote, horizon: int) -> tuple[str, ...]:
    """Return the horizons at which a model must not be worse, ascending, `free_run` last.

    Args:
        promote: settings with the horizons; if they are None, the default is 1, the square root of
            T, T and whole episodes.
        horizon: `verify.horizon`, T.
    """
    if promote.horizons is None:
        return (*map(str, horizons_of(horizon)), FREE_RUN)
    steps = {int(steps_text) for steps_text in promote.horizons if steps_text != FREE_RUN}
    whole = (FREE_RUN,) if FREE_RUN in promote.horizons else ()
    return (*map(str, sorted(steps)), *whole)


def holm(p_values: Sequence[float]) -> list[bool]:
    """Return whether each hypothesis is rejected, with a false rejection in 5 % of all cases.

    The smallest of m p-values is compared with 0.05 / m, the next one with 0.05 / (m - 1), and so
    on, until a p-value is larger. Source: Holm (1979), A simple sequentially rejective multiple
    test procedure, Scandinavian Journal of Statistics 6, 65-70.
    """
    rejected = [False] * len(p_values)
    # A NaN must never be rejected, and comparisons with NaN would make the order undefined.
    finite = [1.0 if math.isnan(value) else value for value in p_values]
    order = sorted(range(len(finite)), key=lambda index: finite[index])
    for rank, index in enumerate(order):
        if finite[index] > SIGNIFICANCE / (len(order) - rank):
            break
        rejected[index] = True
    return rejected


def peers_of(reference: str | None) -> tuple[str, ...]:
    """Return the other non-trivial references if the model is `reference`; else none.

    Often one of two references is better one step ahead and the other at the horizon. If each had
    to be no worse than the other everywhere, neither could become champion. So the reference that
    was best on validation rows must be no worse than its peers only at the horizon and over whole
    episodes, and only in the mean over channels.
    """
    return tuple(name for name in REFERENCES if reference and name not in (*TRIVIAL, reference))


def counts_between_peers(horizon: str, channel: str, last: int) -> bool:
    """Return whether a comparison of two references counts; `last` is T."""
    return horizon in (str(last), FREE_RUN) and channel == NRMSE


def all_losses(
    compared: Mapping[str, Horizons], counted: Counted, reference: str | None, last: int
) -> dict[str, list[Loss]]:
    """Return the losses of a model by reference, with fewer comparisons for its peers.

    Args:
        compared: comparisons of the model by name of the reference.
        counted: comparisons that count.
        reference: the reference that the model is; None for a trained model.
        last: `verify.horizon`, T.
    """
    peers = peers_of(reference)
    non_peers = {name: comparisons for name, comparisons in compared.items() if name not in peers}
    equals = {name: comparisons for name, comparisons in compared.items() if name in peers}
    whole = (FREE_RUN,) if FREE_RUN in counted.horizons else ()
    return {
        **losses(non_peers, counted.horizons, counted.channels),
        **losses(equals, (str(last), *whole), [NRMSE]),
    }


def losses(
    compared: Mapping[str, Horizons], horizons: Sequence[str], channels: Sequence[str] | None = None
) -> dict[str, list[Loss]]:
    """Return the losses of a model by reference.

    A reference that diverges does not count, and a channel that never moves in training has no
    error. Every other missing comparison is a loss. Significance is tested against the strongest
    reference at each horizon and on each channel.

    Args:
        compared: comparisons of the model by name of the reference.
        horizons: horizons that count, see `counted_horizons`.
        channels: channels that count; None for all of them and their mean.
    """
    lost: dict[str, list[Loss]] = {name: [] for name in compared}
    tested = list[Loss]()
    for name, horizons_of_reference in compared.items():
        for line in _compared(name, horizons_of_reference, horizons, channels):
            why = _why(line.horizon, line.comparison)
            if why == "significant":
                tested.append(line)
            elif why is not None:
                lost[name].append(replace(line, why=why))
    # Before `holm`, because its threshold depends on the number of hypotheses.
    tested = _strongest(tested)
    p_values = [line.comparison.p_worse for line in tested if line.comparison]
    for line, rejected in zip(tested, holm(p_values), strict=True):
        if rejected:
            lost[line.reference].append(line)
    return lost


def _strongest(tested: Sequence[Loss]) -> list[Loss]:
    """Return the comparison with the strongest reference at each horizon and on each channel.

    More hypotheses need more evidence for every loss. With tests against all of six references,
    twice the error on one channel would be found in 39 % of the cases with 8 episodes, instead of
    68 %. The champion is tested separately, because it has its own margin.
    """
    strongest: dict[tuple[str, str, bool], Loss] = {}
    for line in tested:
        key = line.horizon, line.channel, line.reference == CHAMPION
        if key not in strongest or _ratio(line) > _ratio(strongest[key]):
            strongest[key] = line
    return list(strongest.values())


def _ratio(line: Loss) -> float:
    return line.comparison.ratio if line.comparison else math.nan


def _compared(
    name: str, comparisons: Horizons, horizons: Sequence[str], channels: Sequence[str] | None
) -> Iterator[Loss]:
    """Yield every comparison that counts, as a possible loss."""
    for horizon in horizons:
        by_channel = comparisons.get(horizon, {})
        whole = by_channel.get(NRMSE)
        if whole is None or math.isnan(whole.reference):
            yield Loss(name, horizon, NRMSE, "not measured")
            continue
        for channel in channels or by_channel:
            yield Loss(name, horizon, channel, "significant", by_channel.get(channel))


def _why(horizon: str, comparison: Comparison | None) -> Why | None:
    """Return why a comparison is a loss: `significant` if a test decides, None if it is none."""
    if comparison is None:
        return "not measured"
    if not math.isfinite(comparison.reference) or comparison.is_equal:
        return None
    # Whole episodes fully count only where the reference predicts well enough.
    has_skill = horizon != FREE_RUN or comparison.reference <= SKILL
    if not comparison.error <= comparison.reference:
        if not math.isfinite(comparison.error):
            return "diverges"
        if _is_gross(comparison, has_skill=has_skill):
            return "gross"
    return "significant" if has_skill and math.isfinite(comparison.p_worse) else None


def _is_gross(comparison: Comparison, *, has_skill: bool) -> bool:
    if not has_skill:
        return comparison.error > GROSS_WITHOUT_SKILL * comparison.reference
    # `not low <= 1` is also true for NaN, the interval of too few blocks.
    no_tie = not comparison.low <= 1.0 or comparison.effective_n < FEWEST
    return comparison.ratio > GROSS and no_tie
