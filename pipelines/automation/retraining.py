"""Sensor of all tasks, and schedule of a task."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

import dagster as dg

from kinemill.errors import KinemillError, join_first
from kinemill.store import Json
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill_dagster.assets.lineage import LOGS
from kinemill_dagster.pipelines.automation.arrivals import Call, next_run, read_state, runs_of
from kinemill_dagster.pipelines.automation.drift import on_drift
from kinemill_dagster.resources.io import latest
from kinemill_dagster.resources.tags import AT_NIGHT, AUTOMATIC, WHY

INTERVAL = 30  # s
_LISTED = 5  # tasks named for a reason


def retraining_sensor(
    tasks: Sequence[Task], definitions: Sequence[dg.Definitions], name: str = "retraining"
) -> list[dg.SensorDefinition]:
    """Return the sensor that starts pipelines on new data, or none if no task has triggers.

    It starts jobs of `definitions`: Dagster refuses two objects for a job of the same name.
    One sensor for all tasks: each tick of a sensor costs a request to the code server and two
    writes to a database. Its cursor has the state of each trigger, by task. It requests at most one
    run of a task per tick.
    """
    active = [
        task
        for task in tasks
        if task.learn.from_logs and (task.retrain.on_arrival or task.retrain.on_drift)
    ]
    names = {task.name for task in active}
    if not active:
        return []

    @dg.sensor(
        name=name,
        jobs=[job for part in definitions for job in part.jobs or () if job.name in names],
        minimum_interval_seconds=INTERVAL,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts runs on new logs and on drift.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return evaluate(active, context)

    return [sensor]


def evaluate(tasks: Iterable[Task], context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Return the run request of the first trigger that fires for each task, or the reasons."""
    from kinemill_dagster.pipelines.home_state import valid_task

    home = Home.resolve()
    states: Json = json.loads(context.cursor or "{}")
    requests = list[dg.RunRequest]()
    events = list[dg.AssetMaterialization]()
    reasons: dict[str, list[str]] = {}
    for task in tasks:
        state = states.setdefault(task.name, {})
        try:
            # As it is in the file now: a change of the rules starts a run, too.
            current = valid_task(task.path) if task.path else task
            request, why = _next(current, home, context.instance, state, events)
        except (KinemillError, OSError) as error:
            request = None
            why = str(error)
        if request is not None:
            requests.append(request)
        reasons.setdefault(why, []).append(task.name)
    listed = [f"{join_first(names, _LISTED)}: {why}" for why, names in reasons.items()]
    cursor = json.dumps(states)
    if not requests:
        return dg.SensorResult(skip_reason="; ".join(listed), cursor=cursor)
    return dg.SensorResult(requests, asset_events=events, cursor=cursor)


def _next(
    task: Task,
    home: Home,
    instance: dg.DagsterInstance,
    state: Json,
    events: list[dg.AssetMaterialization],
) -> tuple[dg.RunRequest | None, str]:
    """Return the run that a task needs, if any, and why; `state` and `events` are updated."""
    reasons = list[str]()
    runs = runs_of(instance, task.name)
    if task.learn.from_logs and task.retrain.on_arrival:
        call = next_run(task, home, read_state(state.get(LOGS)), runs)
        state[LOGS] = asdict(call.state)
        reasons.append(call.why)
        if call.request:
            events.append(_new_logs(task, call))
            return call.request, call.why
    if runs.going():
        return None, "; ".join([*reasons, "drift waits for the current run to end"])
    result = on_drift(task, home, state)
    if isinstance(result, dg.RunRequest):
        return result, result.tags[WHY]
    return None, "; ".join([*reasons, result] if result else reasons)


def _new_logs(task: Task, call: Call) -> dg.AssetMaterialization:
    """Return the new state of the drop folder."""
    return dg.AssetMaterialization(
        dg.AssetKey([task.name, LOGS]),
        description=call.why,
        metadata={"reason": call.why, "request": call.state.request},
        tags={"dagster/data_version": call.state.request},
    )


def schedule(task: Task) -> list[dg.ScheduleDefinition]:
    """Return the schedule of `retrain.cron`, or none; unchanged stages of its runs are cached."""
    cron = task.retrain.cron
    if cron is None:
        return []

    def request(_context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if task.learn.from_logs and latest(Home.resolve(), task.name, "recordings") is None:
            return dg.SkipReason(f"{task.name} has no recordings")
        return dg.RunRequest(tags={**AUTOMATIC, **AT_NIGHT, WHY: f"schedule {cron}"})

    return [
        dg.ScheduleDefinition(
            name=f"{task.name}_schedule",
            job_name=task.name,
            cron_schedule=cron,
            execution_fn=request,
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description=f"Runs the pipeline of {task.name}. Times are UTC.",
        )
    ]
