"""The gate's metric, `promote.metric`: as measured by the gate and as claimed by a verification."""

import math
from dataclasses import dataclass
from typing import Any

from kinemill.register.gate.inputs import Paired, number
from kinemill.store import Json
from kinemill.task import Task
from kinemill.task.promote import ACTIONS, NRMSE, REFERENCES, RETURN


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
    usual = ("random", "champion") if uses_trials else ("repeat", "linear", "champion")
    # The default of `promote.beats` names references that exist for dynamics models only.
    meant = tuple(name for name in promote.beats if name not in REFERENCES or name == "linear")
    opponents = usual if len(meant) < len(promote.beats) else meant
    if not uses_trials:
        return Metric("nrmse", None, False, opponents)
    return Metric(RETURN if promote.metric == NRMSE else promote.metric, None, True, opponents)


def claimed(verification: Json, metric: Metric) -> Json:
    """Return the metric of each model in a verification; None for one that diverged.

    A model counts as diverged if another of its channels diverged. One without the value is
    omitted.
    """
    metrics = verification.get("metrics", {})
    whole: Json = metrics.get(metric.name, {})
    if metric.channel is None:
        return whole
    own = metrics.get("test", {}).get(metric.channel, {})
    return {name: None if whole[name] is None else own[name] for name in whole if name in own}


def claimed_interval(verification: Json, metric: Metric, opponent: str) -> Any:
    """Return the interval of model / opponent in a verification; None if missing.

    For metrics where larger is better: the interval of model - opponent.
    """
    comparison = verification.get("against", {}).get(opponent, {})
    if metric.larger:
        return comparison.get(metric.name)
    if metric.channel is None:
        return comparison.get("interval")
    steps = str(verification.get("windows", {}).get("horizon"))
    apart = comparison.get("horizons", {}).get(steps, {}).get("channels", {})
    return apart.get(metric.channel, {}).get("interval")


def claimed_count(verification: Json, metric: Metric) -> int:
    """Return the number of windows or episodes in a verification; -1 if missing."""
    return int(verification.get("windows", {}).get("episodes" if metric.larger else "count", -1))


def claimed_history(verification: Json, metric: Metric) -> int:
    """Return the number of known rows per window in a verification; -1 if missing.

    0 for policies, which keep their own history.
    """
    if not metric.steps:
        return 0
    return int(verification.get("windows", {}).get("history", -1))


def claims(task: Task, verification: Json) -> dict[str, Paired]:
    """Return a policy's comparison with each reference, from its verification.

    Missing values are NaN, which passes no rule. A null error means divergence; a null return is
    invalid.
    """
    metric = metric_of(task)
    said = claimed(verification, metric)
    pairs = dict[str, Paired]()
    for name in metric.opponents:
        if name == "champion":
            continue
        diverged = not metric.larger and name in said and said[name] is None
        reference = math.inf if diverged else number(said.get(name))
        interval = claimed_interval(verification, metric, name)
        low, high = interval if isinstance(interval, list) and len(interval) == 2 else (None, None)
        pairs[name] = Paired(
            number(said.get("model")), reference, interval=(number(low), number(high))
        )
    return pairs
