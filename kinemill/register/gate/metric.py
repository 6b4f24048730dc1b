"""Metric of the gate, `promote.metric`: measured by the gate, and claimed by a verification."""

import math
from dataclasses import dataclass

from kinemill.register.gate.inputs import Measured, Paired
from kinemill.task import Task
from kinemill.task.promote import ACTIONS, NRMSE, POLICY_REFERENCES, REFERENCES, RETURN
from kinemill.verify.comparison import NRMSE as MEAN
from kinemill.verify.comparison import Comparison
from kinemill.verify.document import Verification
from kinemill.verify.results import NO_INTERVAL


@dataclass(frozen=True)
class Metric:
    """The metric of a task.

    Attributes:
        name: `nrmse`, `return` or `success`.
        channel: the state whose error it is; None for all states.
        larger: whether larger is better.
        opponents: names of the references and the champion to beat.
        steps: whether it is the metric of a dynamics model, not of a policy.
    """

    name: str
    channel: str | None
    larger: bool
    opponents: tuple[str, ...]
    steps: bool = False


def metric_of(task: Task) -> Metric:
    """Return the metric of a task, with defaults resolved for the kind of model."""
    promote = task.promote
    if task.learn.gives == "dynamics":
        return Metric("nrmse", promote.channel, False, tuple(promote.beats), steps=True)
    uses_trials = promote.metric != ACTIONS and task.environment is not None
    usual = ("random", "champion") if uses_trials else (*POLICY_REFERENCES, "champion")
    # The default of `promote.beats` names references that exist for dynamics models only.
    meant = tuple(name for name in promote.beats if name not in REFERENCES or name == "linear")
    opponents = usual if len(meant) < len(promote.beats) else meant
    if not uses_trials:
        return Metric("nrmse", None, False, opponents)
    return Metric(RETURN if promote.metric == NRMSE else promote.metric, None, True, opponents)


def claimed(verification: Verification, metric: Metric) -> dict[str, float]:
    """Return the metric of each model in a verification; NaN for one that diverged.

    A model counts as diverged if another of its channels diverged. One without the value is
    omitted.
    """
    whole = verification.metrics.by_name(metric.name)
    if metric.channel is None:
        return whole
    line = verification.metrics.test.get(metric.channel)
    rmse = line.rmse if line else {}
    return {
        name: rmse[name] if math.isfinite(whole[name]) else math.nan
        for name in whole
        if name in rmse
    }


def _claimed_gain(verification: Verification, metric: Metric, opponent: str) -> tuple[float, float]:
    """Return the interval of model - opponent in a verification; NaN if missing."""
    gain = verification.gains.get(opponent)
    return (gain.by_name(metric.name) if gain else None) or NO_INTERVAL


def _claimed_comparison(
    verification: Verification, metric: Metric, opponent: str
) -> Comparison | None:
    """Return the comparison of the errors of actions in a verification; None if missing."""
    steps = str(verification.windows.horizon)
    by_channel = verification.against.get(opponent, {}).get(steps, {})
    return by_channel.get(metric.channel or MEAN)


def claim_of(verification: Verification, metric: Metric) -> Measured:
    """Return what a verification claims: its error, and the windows or episodes measured.

    A missing number is -1. Policies have no history per window: they store it in the carry.
    """
    windows = verification.windows
    count = windows.episodes if metric.larger else windows.count
    history = windows.history if metric.steps else 0
    return Measured(
        claimed(verification, metric).get("model", math.nan),
        {},
        -1 if count is None else count,
        0,
        -1 if history is None else history,
    )


def claims(task: Task, verification: Verification) -> dict[str, Paired]:
    """Return a policy's comparison with each reference, from its verification.

    Missing values are NaN, which passes no rule. An error that is not finite means divergence; a
    return that is not finite is invalid.
    """
    metric = metric_of(task)
    values = claimed(verification, metric)
    pairs = dict[str, Paired]()
    model = values.get("model", math.nan)
    for name in metric.opponents:
        if name == "champion":
            continue
        reference = values.get(name, math.nan)
        if not metric.larger and name in values and not math.isfinite(reference):
            reference = math.inf
        if metric.larger:
            interval = _claimed_gain(verification, metric, name)
            pairs[name] = Paired(model, reference, interval=interval)
        elif comparison := _claimed_comparison(verification, metric, name):
            pairs[name] = Paired.of(model, reference, comparison, {})
        else:
            pairs[name] = Paired(model, reference, interval=NO_INTERVAL)
    return pairs
