"""Staleness: decide whether a champion is so old that new logs need a training."""

from datetime import datetime

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
    from kinemill.register import tags
    from kinemill.register.versions import champion_of

    champion = champion_of(home, task.name)
    most = task.retrain.max_age
    if most is None:
        return dg.SkipReason("retrain.max_age is off")
    if champion is None:
        return dg.SkipReason(f"{task.name} has no champion yet")
    age = moment - datetime.fromisoformat(champion.created).timestamp()
    which = f"champion version {champion.number}"
    if age <= most:
        return dg.SkipReason(f"{which} is {age / _DAY:.1f} days old, of {most / _DAY:g}")
    dataset = latest(home, task.name, "dataset")
    if dataset is None or dataset.digest == champion.tags.get(tags.DATASET):
        return dg.SkipReason(f"{which} is {age / _DAY:.1f} days old, but there are no new logs")
    return dg.RunRequest(
        run_key=f"{task.name}-age-{champion.number}-{dataset.digest[:16]}",
        job_name=task.name,
        tags={**AUTOMATIC, **SOON, WHY: f"{which} is {age / _DAY:.1f} days old"},
    )
