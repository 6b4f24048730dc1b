"""Staleness: decide whether a champion is so old that new logs need a training."""

import dagster as dg

from kinemill.store.home import Home
from kinemill.task import Task
from kinemill_dagster.resources.io import latest
from kinemill_dagster.resources.tags import AUTOMATIC, SOON, WHY

_DAY = 86400.0  # s


def next_training(task: Task, home: Home, moment: float) -> dg.RunRequest | dg.SkipReason:
    """Decide at `moment` (s since the epoch) whether the champion's age needs a run.

    Without a new dataset a training would produce the same model, so none is requested. A pair of
    champion and dataset is requested once.
    """
    from kinemill.register.age import champion_term

    champion, most = champion_term(home, task.name), task.retrain.max_age
    if most is None:
        return dg.SkipReason("retrain.max_age is off")
    if champion is None:
        return dg.SkipReason(f"{task.name} has no champion yet")
    age, which = moment - champion.since, f"champion version {champion.version}"
    if age <= most:
        return dg.SkipReason(f"{which} is {age / _DAY:.1f} days old, of {most / _DAY:g}")
    dataset = latest(home, task.name, "dataset")
    if dataset is None or dataset.digest == champion.dataset:
        return dg.SkipReason(f"{which} is {age / _DAY:.1f} days old, but there are no new logs")
    return dg.RunRequest(
        run_key=f"{task.name}-age-{champion.version}-{dataset.digest[:16]}",
        tags={**AUTOMATIC, **SOON, WHY: f"{which} is {age / _DAY:.1f} days old"},
    )
