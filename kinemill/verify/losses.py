"""Losses: horizons and channels at which a model is significantly worse than a reference.

Each pair of horizon and channel is a separate hypothesis, so some fail by chance. The
procedure of Holm (1979) bounds the chance of a single false one among all of them, however they
depend on each other. Of several references only the strongest at a horizon and on a channel is
tested there, so that many references do not hide a loss.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from kinemill.task.promote import FREE_RUN, REFERENCES, TRIVIAL, Promote
from kinemill.verify.comparison import NRMSE, Comparison

# By horizon, "1" or "25" steps or "free_run", and by channel or "nrmse", the mean over channels.
Horizons = Mapping[str, Mapping[str, Comparison]]
Why = Literal["significant", "gross", "diverges", "not measured"]

CHAMPION = "champion"  # its name among the references
SIGNIFICANCE = 0.05  # chance of one false loss among all comparisons
# Without an interval, or with a wide one that hardly excludes a tie, such a ratio is a loss.
GROSS = 2.0
FEWEST = 2.0  # independent episodes; with fewer an interval is so wide that it excludes nothing
# Whole episodes on own predictions drift apart: where no reference is closer to the truth than this
# share of the training spread, predictions carry little information, and only gross failure counts.
SKILL, GROSS_WITHOUT_SKILL = 0.8, 3.0


@dataclass(frozen=True)
class Loss:
    """One comparison in which the model is worse.

    Attributes:
        reference: its name.
        horizon: `1`, `25`, ... steps, or `free_run`.
        channel: a state, or `nrmse`.
        why: significantly worse; grossly, which needs no interval; it diverges where the reference
            does not; or there is no such comparison.
        comparison: with the numbers; None where there is none.
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
        channels: names of states; None: all of them and their mean.
        margin: relative, by which a model may be worse.
    """

    horizons: tuple[str, ...]
    channels: tuple[str, ...] | None
    margin: float

    @classmethod
    def of(cls, promote: Promote, horizon: int) -> Self:
        """Return what counts for a task whose `verify.horizon` is `horizon`, steps."""
        channels = None if promote.channels is None else tuple(promote.channels)
        return cls(counted_horizons(promote, horizon), channels, promote.margin)

    @property
    def steps(self) -> tuple[int, ...]:
        """Horizons in steps, without whole episodes."""
        return tuple(int(one) for one in self.horizons if one != FREE_RUN)


def counted_horizons(promote: Promote, horizon: int) -> tuple[str, ...]:
    """Return the horizons at which a model may not be worse, in their order, `free_run` last.

    Args:
        promote: names them, or none for the default.
        horizon: `verify.horizon`, T: the default is 1, the square root of T, T and whole episodes.
    """
    if promote.horizons is None:
        steps = {1, round(math.sqrt(horizon)), horizon}
        return (*map(str, sorted(steps)), FREE_RUN)
    steps = {int(one) for one in promote.horizons if one != FREE_RUN}
    whole = (FREE_RUN,) if FREE_RUN in promote.horizons else ()
    return (*map(str, sorted(steps)), *whole)


def holm(p_values: Sequence[float], level: float = SIGNIFICANCE) -> list[bool]:
    """Return which hypotheses are rejected, with at most `level` as the chance of a false one.

    The smallest of m p-values is held against level / m, the next one against level / (m - 1), and
    so on; the first that is larger ends it. Source: Holm (1979), A simple sequentially rejective
    multiple test procedure, Scandinavian Journal of Statistics 6, 65-70.
    """
    rejected = [False] * len(p_values)
    finite = [1.0 if math.isnan(value) else value for value in p_values]
    order = sorted(range(len(finite)), key=lambda index: finite[index])
    for rank, index in enumerate(order):
        if finite[index] > level / (len(order) - rank):
            break
        rejected[index] = True
    return rejected


def peers_of(own: str | None) -> tuple[str, ...]:
    """Return the references that a model which is the reference `own` is only a peer of.

    One of two references is often better one step ahead and the other at the horizon. If each had
    to be no worse than the other everywhere, neither could be champion. The one that was best on
    validation rows has to be no worse at the horizon and over whole episodes, on average.
    """
    return tuple(name for name in REFERENCES if own and name not in (*TRIVIAL, own))


def counts_between_peers(horizon: str, channel: str, last: int) -> bool:
    """Return whether two references are compared at a horizon and on a channel; `last` is T."""
    return horizon in (str(last), FREE_RUN) and channel == NRMSE


def all_losses(
    compared: Mapping[str, Horizons], counted: Counted, own: str | None, last: int
) -> dict[str, list[Loss]]:
    """Return where a model is worse than references, by `losses`; see `peers_of`.

    Args:
        compared: the model with each reference, by its name.
        counted: what counts.
        own: the reference that the model is; None: a trained model.
        last: `verify.horizon`, T.
    """
    peers = peers_of(own)
    others = {name: comparisons for name, comparisons in compared.items() if name not in peers}
    equals = {name: comparisons for name, comparisons in compared.items() if name in peers}
    whole = (FREE_RUN,) if FREE_RUN in counted.horizons else ()
    return {
        **losses(others, counted.horizons, counted.channels),
        **losses(equals, (str(last), *whole), [NRMSE]),
    }


def losses(
    compared: Mapping[str, Horizons],
    horizons: Sequence[str],
    channels: Sequence[str] | None = None,
) -> dict[str, list[Loss]]:
    """Return where a model is worse than each of several references.

    A reference that diverges is not compared, and a channel that never moves in training has no
    error; every other missing comparison is a loss. Significance is tested against the strongest
    reference at each horizon and on each channel.

    Args:
        compared: the model with each reference, by its name.
        horizons: those that count, see `counted_horizons`.
        channels: those that count; None for all of them and their mean.
    """
    lost: dict[str, list[Loss]] = {name: [] for name in compared}
    tested = list[Loss]()
    for name, horizons_of_reference in compared.items():
        for line in _compared(name, horizons_of_reference, horizons, channels):
            loss = _certain(line)
            if loss is not None:
                lost[name].append(loss)
            elif line.comparison is not None and _is_testable(line):
                tested.append(line)
    tested = _strongest(tested)
    p_values = [line.comparison.p_worse for line in tested if line.comparison]
    for line, rejected in zip(tested, holm(p_values), strict=True):
        if rejected:
            lost[line.reference].append(line)
    return lost


def _strongest(tested: Sequence[Loss]) -> list[Loss]:
    """Return the comparison with the strongest reference at each horizon and on each channel.

    Weaker references there would only ask for more evidence of every loss: of six references, twice
    the error on one channel would be found in 8 episodes in 39 % of the cases instead of 68 %. The
    champion has a separate margin, and is tested separately.
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
    """Yield every comparison that counts, as the loss that it would be."""
    for horizon in horizons:
        by_channel = comparisons.get(horizon, {})
        whole = by_channel.get(NRMSE)
        if whole is None or math.isnan(whole.reference):
            yield Loss(name, horizon, NRMSE, "not measured")
            continue
        for channel in channels or by_channel:
            comparison = by_channel.get(channel)
            why: Why = "not measured" if comparison is None else "significant"
            yield Loss(name, horizon, channel, why, comparison)


def _certain(line: Loss) -> Loss | None:
    """Return a loss for which no test is needed."""
    comparison = line.comparison
    if comparison is None:
        return line
    if not math.isfinite(comparison.reference):
        return None
    if comparison.error <= comparison.reference:
        return None
    if not math.isfinite(comparison.error):
        return Loss(line.reference, line.horizon, line.channel, "diverges", comparison)
    return (
        Loss(line.reference, line.horizon, line.channel, "gross", comparison)
        if _gross(line)
        else None
    )


def _gross(line: Loss) -> bool:
    comparison = line.comparison
    if comparison is None:
        return False
    if not _has_skill(line):
        return not comparison.error <= GROSS_WITHOUT_SKILL * comparison.reference
    no_tie = not comparison.low <= 1.0 or comparison.effective_n < FEWEST
    return not comparison.ratio <= GROSS and no_tie


def _has_skill(line: Loss) -> bool:
    """Return whether the reference beats a constant prediction; always true within windows."""
    comparison = line.comparison
    return line.horizon != FREE_RUN or (comparison is not None and comparison.reference <= SKILL)


def _is_testable(line: Loss) -> bool:
    comparison = line.comparison
    return comparison is not None and math.isfinite(comparison.p_worse) and _has_skill(line)
