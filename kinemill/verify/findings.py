"""What a document says about the model beside each reference: which is best, which is better.

Reads `verification.json` and `evaluation.json`; numbers that are not finite are null there.
"""

import math
from dataclasses import dataclass

from kinemill.store import Json
from kinemill.verify.labels import spoken
from kinemill.verify.phrases import interval_words, known, less_or_more

MODEL, CHAMPION, NRMSE, FREE_RUN = "model", "champion", "nrmse", "free_run"


@dataclass(frozen=True)
class Finding:
    """One comparison that a reference wins significantly.

    Attributes:
        reference: name of the reference.
        horizon: steps ahead as text, or `free_run`.
        channel: name of a channel, or `nrmse` for their mean.
        ratio: error of the model / error of the reference; NaN where the model diverges.
        low, high: 95 % interval of the ratio; NaN without one.
    """

    reference: str
    horizon: str
    channel: str
    ratio: float
    low: float
    high: float

    def words(self) -> str:
        """Return it as a phrase: `2.1 times the error of persistence on angle 1 step ahead`."""
        size = less_or_more(self.ratio) if math.isfinite(self.ratio) else "diverged, unlike"
        where = "" if self.channel == NRMSE else f" on {self.channel}"
        inside = interval_words(self.low, self.high)
        told = f"{size} {spoken(self.reference)}{where} {horizon_words(self.horizon)}"
        return f"{told} ({inside})" if inside else told


def horizon_words(horizon: str) -> str:
    """Return a horizon in words: `1 step ahead`, `25 steps ahead`, `in free run`."""
    if horizon == FREE_RUN:
        return "in free run"
    return f"{horizon} step{'s' * (horizon != '1')} ahead"


def errors_of(document: Json) -> tuple[Json, Json]:
    """Return RMSE by channel (`unit` and one number a model) and nRMSE by model at the horizon."""
    metrics = document.get("metrics", {})
    if "nrmse" in document:  # evaluation.json
        return metrics, document["nrmse"]
    return metrics.get("test", {}), metrics.get("nrmse", {})


def references_in(document: Json) -> list[str]:
    """Return the references that stay finite at the horizon; the model itself is not one."""
    own = (document.get("model") or {}).get("reference")
    return [
        name
        for name, error in errors_of(document)[1].items()
        if name not in (MODEL, CHAMPION, own) and error is not None
    ]


def best_reference(document: Json) -> str | None:
    """Return the reference with the smallest nRMSE at the horizon; None: none is finite."""
    nrmse = errors_of(document)[1]
    return min(references_in(document), key=lambda name: known(nrmse[name]), default=None)


def worse_findings(document: Json) -> list[Finding]:
    """Return the comparisons whose interval lies above 1, the largest ratio first.

    At the horizon of verification a reference also wins where the model alone diverges.
    """
    found: list[Finding] = []
    for reference, item in document.get("against", {}).items():
        if reference == (document.get("model") or {}).get("reference"):
            continue
        for horizon, line in (item.get("horizons") or {}).items():
            lines = {NRMSE: line[NRMSE], **line.get("channels", {})}
            for channel, one in lines.items():
                low, high = known(one.get("low")), known(one.get("high"))
                if low > 1.0:
                    found.append(
                        Finding(reference, horizon, channel, known(one["ratio"]), low, high)
                    )
    return sorted(found, key=lambda one: -one.ratio if math.isfinite(one.ratio) else 0.0)
