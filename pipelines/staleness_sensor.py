"""Staleness sensor: start a training when the champion is old and there are new logs."""

import time

import dagster as dg

from kinemill.errors import KinemillError
from kinemill.store.home import Home
from kinemill.task import Task, load_task
from kinemill_dagster.pipelines.log_sensor import runs_of
from kinemill_dagster.resources.io import latest
from kinemill_dagster.resources.tags import AUTOMATIC, SOON, WHY

_EVERY = 600  # s; ages are days
_DAY = 86400.0  # s


def ages(task: Task) -> dg.SensorDefinition:
    """Return the sensor that runs the pipeline of `task` when its champion is too old."""

    @dg.sensor(
        name=f"{task.name}_age",
        job_name=task.name,
        minimum_interval_seconds=_EVERY,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Runs the pipeline of {task.name} if its champion is old and logs are new.",
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        try:
            now = load_task(task.path or task.name)
        except KinemillError as error:
            return dg.SkipReason(str(error))
        called = next_training(now, Home.resolve(), time.time())
        if isinstance(called, dg.RunRequest) and runs_of(context.instance, task.name).going():
            return dg.SkipReason("checked again when the current run has ended")
        return called

    return watch


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
