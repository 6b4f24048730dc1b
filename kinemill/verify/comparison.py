"""One model against references: numbers, and as verification.json has them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

from kinemill.store import Json

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
        ratio: error / reference; infinite where the model alone diverges, NaN where the reference
            does.
        low, high: 95 % interval of the ratio; NaN with too few independent blocks.
        effective_n: independent episodes or blocks that carry the comparison.
        unit: which of the two.
        detectable: smallest relative improvement that is found with 80 % power; NaN without an
            interval.
        p_worse: one-sided p-value: small where the model is surely worse than (1 + margin) times
            the reference; NaN without an interval.
    """

    error: float
    reference: float
    ratio: float
    low: float
    high: float
    effective_n: float
    unit: Unit
    detectable: float
    p_worse: float

    def to_json(self) -> Json:
        """Return the comparison as JSON; numbers that are not finite are null."""
        numbers = {
            "error": self.error,
            "reference": self.reference,
            "ratio": self.ratio,
            "detectable": self.detectable,
            "p_worse": self.p_worse,
            "effective_n": self.effective_n,
        }
        result: Json = {name: _or_none(value) for name, value in numbers.items()}
        return result | {"interval": [_or_none(self.low), _or_none(self.high)], "unit": self.unit}

    @classmethod
    def from_json(cls, value: Json) -> Self:
        """Read what `to_json` has written; an error of null is one that diverged."""
        error, reference = (_or(value[name], math.inf) for name in ("error", "reference"))
        runaway = math.isinf(error) and math.isfinite(reference)
        low, high = (_or(bound, math.nan) for bound in value["interval"])
        return cls(
            error=error,
            reference=reference,
            ratio=_or(value["ratio"], math.inf if runaway else math.nan),
            low=low,
            high=high,
            effective_n=_or(value["effective_n"], math.nan),
            unit=value["unit"],
            detectable=_or(value["detectable"], math.nan),
            p_worse=_or(value["p_worse"], math.nan),
        )


# From the horizon in steps, as text, or `free_run`, to `nrmse` or a channel.
Comparisons = dict[str, dict[str, Comparison]]


def against(comparisons: Mapping[str, Comparisons]) -> Json:
    """Return how the model stands to each reference.

    Returns:
        By reference: `ratio`, `interval`, `effective_n`, `unit`, `detectable` of nrmse at the last
        step; `horizons`, by steps or `free_run`: `nrmse`, and `channels` by name.
    """
    return {who: _against(one) for who, one in comparisons.items()}


def _against(comparisons: Comparisons) -> Json:
    last = max((key for key in comparisons if key != FREE_RUN), key=int)
    whole = comparisons[last][NRMSE].to_json()
    return {
        name: whole[name] for name in ("ratio", "interval", "effective_n", "unit", "detectable")
    } | {
        "horizons": {
            key: {
                NRMSE: by_channel[NRMSE].to_json(),
                "channels": {
                    name: one.to_json() for name, one in by_channel.items() if name != NRMSE
                },
            }
            for key, by_channel in comparisons.items()
        }
    }


def read_against(value: Json) -> Comparisons:
    """Read the `horizons` of one reference in a document that `against` has written."""
    return {
        key: {NRMSE: Comparison.from_json(part[NRMSE])}
        | {name: Comparison.from_json(one) for name, one in part["channels"].items()}
        for key, part in value["horizons"].items()
    }


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else float(value)
