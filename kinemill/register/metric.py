"""What the gate compares, `promote.metric`: as it measures it, and as a verification claims it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kinemill.task import Task
from kinemill.task.promote import ACTIONS, NRMSE, REFERENCES, RETURN
from kinemill.verify import Errors


@dataclass(frozen=True)
class Metric:
    """What the gate compares.

    Attributes:
        name: `nrmse`, `return` or `success`.
        channel: the state whose error it is; None for all of them.
        larger: whether more of it is better.
        rivals: who is to be beaten.
        steps: whether it is of a model that predicts steps, and not of a policy.
    """

    name: str
    channel: str | None
    larger: bool
    rivals: tuple[str, ...]
    steps: bool = False


def metric_of(task: Task) -> Metric:
    """Return what a task wants to be compared, with what its defaults mean for what it learns."""
    wanted = task.promote
    if task.learn.gives == "dynamics":
        return Metric("nrmse", wanted.channel, False, tuple(wanted.beats), steps=True)
    tried = wanted.metric != ACTIONS and task.environment is not None
    usual = ("random", "champion") if tried else ("repeat", "linear", "champion")
    # The default of all tasks names what only a dynamics model can beat.
    meant = tuple(name for name in wanted.beats if name not in REFERENCES or name == "linear")
    rivals = usual if len(meant) < len(wanted.beats) else meant
    if not tried:
        return Metric("nrmse", None, False, rivals)
    return Metric(RETURN if wanted.metric == NRMSE else wanted.metric, None, True, rivals)


def error_of(errors: Errors, channel: str | None) -> float:
    """Return nrmse, or the RMSE of one channel in its unit; infinite if any channel diverges."""
    if not math.isfinite(errors.nrmse):
        return math.inf
    return errors.nrmse if channel is None else float(errors.rmse[errors.channels.index(channel)])


def claimed(verification: Mapping[str, Any], metric: Metric) -> dict[str, Any]:
    """Return what a verification says of the metric, by who does so; null stands for one diverged.

    Whose other channels diverged has diverged; of whom anything is missing, all is.
    """
    metrics = verification.get("metrics", {})
    whole: dict[str, Any] = metrics.get(metric.name, {})
    if metric.channel is None:
        return whole
    own = metrics.get("test", {}).get(metric.channel, {})
    return {who: None if whole[who] is None else own[who] for who in whole if who in own}


def claimed_interval(verification: Mapping[str, Any], metric: Metric, rival: str) -> Any:
    """Return the interval of model over rival that a verification says; None if it does not.

    Of what is better the more there is of it: of model minus rival.
    """
    found = verification.get("against", {}).get(rival, {})
    if metric.larger:
        return found.get(metric.name)
    if metric.channel is None:
        return found.get("interval")
    steps = str(verification.get("windows", {}).get("horizon"))
    apart = found.get("horizons", {}).get(steps, {}).get("channels", {})
    return apart.get(metric.channel, {}).get("interval")


def claimed_count(verification: Mapping[str, Any], metric: Metric) -> int:
    """Return on how many windows or episodes a verification says that it measured; -1: not said."""
    return int(verification.get("windows", {}).get("episodes" if metric.larger else "count", -1))


def claimed_history(verification: Mapping[str, Any], metric: Metric) -> int:
    """Return how many rows a verification says were known in each window; -1: not said.

    Of policies 0: they remember what they want themselves.
    """
    if not metric.steps:
        return 0
    return int(verification.get("windows", {}).get("history", -1))
