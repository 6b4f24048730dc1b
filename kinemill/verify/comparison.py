"""One model against one reference on the same rows."""

import math
from dataclasses import dataclass
from typing import Literal

from kinemill.store.numbers import Diverging, Number

Unit = Literal["episodes", "blocks"]
NRMSE = "nrmse"  # key among the channels: their mean
FREE_RUN = "free_run"  # key among the horizons: whole episodes
MARGIN = 0.02  # default of promote.margin


@dataclass(frozen=True)
class Comparison:
    """One model against one reference on the same rows.

    Attributes:
        error: RMSE of the model in training standard deviations, of a channel or averaged over
            channels; infinite if it diverges.
        reference: the same error of the reference.
        low, high: 95 % interval of `ratio`; NaN with too few independent blocks.
        effective_n: effective number of independent episodes or blocks.
        unit: whether `effective_n` counts episodes or blocks.
        detectable: smallest relative improvement that is found with 80 % power; NaN without an
            interval.
        p_worse: one-sided p-value of the hypothesis that the error is at most (1 + margin) times
            that of the reference: small if the model is worse; NaN without an interval.
        tolerance: largest difference between the two errors that means nothing, in training
            standard deviations.
        episodes: number of test episodes with windows.
    """

    error: Diverging
    reference: Diverging
    low: Number
    high: Number
    effective_n: Number
    unit: Unit
    detectable: Number
    p_worse: Number
    tolerance: Number = 0.0
    episodes: int = 0

    @property
    def ratio(self) -> float:
        """Error / reference: infinite if only the model diverges, NaN if the reference does."""
        if not math.isfinite(self.reference):
            return math.nan
        return self.error / self.reference if self.reference else math.inf

    @property
    def is_equal(self) -> bool:
        """Whether the errors differ by less than sensors and the robot resolve."""
        return abs(self.error - self.reference) <= self.tolerance


# By horizon (steps as text, or `free_run`), then by channel (a state, or `nrmse`).
Comparisons = dict[str, dict[str, Comparison]]


def horizons_of(steps: int) -> tuple[int, ...]:
    """Return the steps at which models are compared: 1, the root of T, and T = `steps`."""
    return tuple(sorted({1, round(math.sqrt(steps)), steps}))


def final(comparisons: Comparisons) -> Comparison | None:
    """Return the comparison of nRMSE at the longest horizon; None if there is none."""
    last = max((key for key in comparisons if key != FREE_RUN), key=int, default="")
    return comparisons.get(last, {}).get(NRMSE)
