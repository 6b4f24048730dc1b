"""Risk measures: costs of B plans by M models (M, B) -> one cost of each plan (B,).

average     mean over models                    worst, best    the largest, the smallest
exponential log(mean(exp(a J))) / a             (Whittle 1981; a > 0 averse, a < 0 seeking)
value_at_risk   the quantile at `level`
cvar        mean of the costs at or beyond that quantile (Rockafellar and Uryasev 2000)

All results have the unit of the cost.
"""

from collections.abc import Callable

import numpy as np

from kinemill.control.plan import Floats
from kinemill.task.control import Risk


def average(costs: Floats, risk: Risk) -> Floats:
    """Return the mean over models: costs (M, B) -> (B,)."""
    del risk
    return costs.mean(axis=0)


def worst(costs: Floats, risk: Risk) -> Floats:
    """Return the largest over models: costs (M, B) -> (B,)."""
    del risk
    return costs.max(axis=0)


def best(costs: Floats, risk: Risk) -> Floats:
    """Return the smallest over models: costs (M, B) -> (B,)."""
    del risk
    return costs.min(axis=0)


def exponential(costs: Floats, risk: Risk) -> Floats:
    """Return log(mean(exp(a J))) / a over models (Whittle 1981): costs (M, B) -> (B,).

    For an aversion a of 0 it is the mean.
    """
    a = risk.aversion
    if abs(a) < 1e-9:
        return costs.mean(axis=0)
    # log-sum-exp relative to the largest term, so that exp neither overflows nor underflows.
    decisive = costs.max(axis=0) if a > 0 else costs.min(axis=0)
    shifted = np.exp(a * (costs - np.where(np.isfinite(decisive), decisive, 0.0)))
    return decisive + np.log(shifted.mean(axis=0)) / a


def value_at_risk(costs: Floats, risk: Risk) -> Floats:
    """Return the quantile of the costs at `level`: (M, B) -> (B,)."""
    return np.quantile(costs, risk.level, axis=0, method="inverted_cdf")


def cvar(costs: Floats, risk: Risk) -> Floats:
    """Return the mean over the worst share 1 - level of the models: costs (M, B) -> (B,).

    If the share is not a whole number of models, the last one has a partial weight.
    """
    count = len(costs)
    tail = (1.0 - risk.level) * count
    # Weight of each model in the tail, worst first: 1, ..., 1, a part, 0, ..., 0.
    share = np.clip(tail - np.arange(count), 0.0, 1.0)
    # A tail of less than one model is the worst model.
    share = share if tail >= 1.0 else np.eye(count)[0]
    descending = np.sort(costs, axis=0)[::-1]
    counted = np.where(share[:, None] > 0.0, descending, 0.0)  # 0 · inf would be NaN
    return np.tensordot(share / share.sum(), counted, axes=1)


RISKS: dict[str, Callable[[Floats, Risk], Floats]] = {
    "average": average,
    "worst": worst,
    "best": best,
    "exponential": exponential,
    "value_at_risk": value_at_risk,
    "cvar": cvar,
}
