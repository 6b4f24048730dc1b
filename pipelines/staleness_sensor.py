"""Staleness sensor: start a training when the champion is old and new recordings have arrived."""

import time

import dagster as dg

from kinemill.errors import KinemillError
from kinemill.store.home import Home
from kinemill.task import Task, load_task
from pipelines.log_sensor import runs_of
from resources.io import latest
from resources.tags import AUTOMATIC, SOON, WHY

_EVERY = 600  # s; ages are days
_DAY = 86400.0  # s


def ages(task: Task) -> dg.SensorDefinition:
    """Make the sensor that runs the chain of `task` when its champion is older than it may be."""

    @dg.sensor(
        name=f"{task.name}_age",
        job_name=task.name,
        minimum_interval_seconds=_EVERY,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Runs the chain of {task.name} when its champion is too old and logs came.",
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        try:
            now = load_task(task.path or task.name)
        except KinemillError as error:
            return dg.SkipReason(str(error))
        called = next_training(now, Home.resolve(), time.time())
        if isinstance(called, dg.RunRequest) and runs_of(context.instance, task.name).going():
            return dg.SkipReason("looked at again when the run under way has ended")
        return called

    return watch


def next_training(task: Task, home: Home, moment: float) -> dg.RunRequest | dg.SkipReason:
    """Decide at `moment` (s since the epoch) what the champion's age calls for.

    Without another dataset a training would end with the same model, so none is asked for; for one
    champion and one dataset it is asked for once.
    """
    from kinemill.register.age import reign_of

    champion, most = reign_of(home, task.name), task.retrain.max_age
    if most is None:
        return dg.SkipReason("retrain.max_age is off")
    if champion is None:
        return dg.SkipReason(f"{task.name} has no champion yet")
    age, which = moment - champion.since, f"champion version {champion.version}"
    if age <= most:
        return dg.SkipReason(f"{which} is {age / _DAY:.1f} days old, of {most / _DAY:g}")
    dataset = latest(home, task.name, "dataset")
    if dataset is None or dataset.digest == champion.dataset:
        return dg.SkipReason(f"{which} is {age / _DAY:.1f} days old, but no logs came since")
    return dg.RunRequest(
        run_key=f"{task.name}-age-{champion.version}-{dataset.digest[:16]}",
        tags={**AUTOMATIC, **SOON, WHY: f"{which} is {age / _DAY:.1f} days old"},
    )
