"""One model against one reference on the same rows."""

import math
from dataclasses import dataclass
from typing import Literal

from kinemill.store.numbers import Diverging, Number

Unit = Literal["episodes", "blocks"]
NRMSE = "nrmse"  # names the mean over channels among the channels
FREE_RUN = "free_run"  # names whole episodes among the horizons
MARGIN = 0.02  # default of promote.margin


@dataclass(frozen=True)
class Comparison:
    """One model against one reference on the same rows.

    Attributes:
        error: RMSE of the model over the training spread, of a channel or averaged over channels;
            infinite where it diverges.
        reference: the same of the reference.
        low, high: 95 % interval of `ratio`; NaN with too few independent blocks.
        effective_n: independent episodes or blocks that carry the comparison.
        unit: which of the two.
        detectable: smallest relative improvement that is found with 80 % power; NaN without an
            interval.
        p_worse: one-sided p-value of being worse than (1 + margin) times the reference: small where
            the model is worse; NaN without an interval.
    """

    error: Diverging
    reference: Diverging
    low: Number
    high: Number
    effective_n: Number
    unit: Unit
    detectable: Number
    p_worse: Number

    @property
    def ratio(self) -> float:
        """Error / reference: infinite if the model alone diverges, NaN if the reference does."""
        if not math.isfinite(self.reference):
            return math.nan
        return self.error / self.reference if self.reference else math.inf


# From the horizon in steps, as text, or `free_run`, to `nrmse` or a channel.
Comparisons = dict[str, dict[str, Comparison]]


def final(comparisons: Comparisons) -> Comparison | None:
    """Return the comparison of nRMSE at the last step; None without one."""
    last = max((key for key in comparisons if key != FREE_RUN), key=int, default="")
    return comparisons.get(last, {}).get(NRMSE)
