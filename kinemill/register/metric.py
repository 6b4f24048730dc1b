"""What the gate compares, `promote.metric`: as it measures it, and as a verification claims it."""

import math
from collections.abc import Mapping
from typing import Any

from kinemill.verify import Errors


def error_of(errors: Errors, channel: str | None) -> float:
    """Return nrmse, or the RMSE of one channel in its unit; infinite if any channel diverges."""
    if not math.isfinite(errors.nrmse):
        return math.inf
    return errors.nrmse if channel is None else float(errors.rmse[errors.channels.index(channel)])


def claimed(verification: Mapping[str, Any], channel: str | None) -> dict[str, Any]:
    """Return what a verification says of the metric, by who errs so; null stands for one diverged.

    Whose other channels diverged has diverged; of whom anything is missing, all is.
    """
    metrics = verification.get("metrics", {})
    whole: dict[str, Any] = metrics.get("nrmse", {})
    if channel is None:
        return whole
    own = metrics.get("test", {}).get(channel, {})
    return {who: None if whole[who] is None else own[who] for who in whole if who in own}


def claimed_interval(verification: Mapping[str, Any], channel: str | None, rival: str) -> Any:
    """Return the interval of model over rival that a verification says; None if it does not."""
    found = verification.get("against", {}).get(rival, {})
    return found.get("interval") if channel is None else found.get("channels", {}).get(channel)
