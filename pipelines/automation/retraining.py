"""Sensor and schedule of a task."""

import json
import time
from dataclasses import asdict

import dagster as dg

from kinemill.errors import KinemillError
from kinemill.store import Json
from kinemill.store.home import Home
from kinemill.task import Task, load_task
from kinemill_dagster.assets.lineage import (
    CHAMPION,
    LOGS,
    upstream_champions,
)
from kinemill_dagster.pipelines.automation import age, drift
from kinemill_dagster.pipelines.automation.arrivals import Call, next_run, read_state, runs_of
from kinemill_dagster.resources.io import latest
from kinemill_dagster.resources.tags import AT_NIGHT, AUTOMATIC, SOON, WHY

INTERVAL = 30  # s
Result = dg.SensorResult | dg.SkipReason


def retraining_sensor(task: Task) -> list[dg.SensorDefinition]:
    """Return the sensor that starts the pipeline of a task on new data, or none without triggers.

    Its cursor has the state of each trigger. It requests at most one run per tick.
    """
    retrain = task.retrain
    logs = task.learn.from_logs
    is_triggered = logs and (retrain.on_arrival or retrain.on_drift or retrain.max_age is not None)
    if not is_triggered and not (retrain.on_upstream and upstream_champions(task)):
        return []

    @dg.sensor(
        name=f"{task.name}_retraining",
        job_name=task.name,
        minimum_interval_seconds=INTERVAL,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a run on new logs, on drift, on an old champion, and on a new champion "
        "of another task that this one uses.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> Result:
        try:
            # As it is in the file now: a change of the rules starts a run, too.
            current = load_task(task.path) if task.path else task
            return evaluate(current, Home.resolve(), context)
        except (KinemillError, OSError) as error:
            return dg.SkipReason(str(error))

    return [sensor]


def evaluate(task: Task, home: Home, context: dg.SensorEvaluationContext) -> Result:
    """Return the run request of the first trigger that fires, or the reasons why none is."""
    state: Json = json.loads(context.cursor or "{}")
    instance = context.instance
    events = list[dg.AssetMaterialization]()
    reasons = list[str]()
    request = None
    if task.learn.from_logs and task.retrain.on_arrival:
        call = next_run(task, home, read_state(state.get(LOGS)), runs_of(instance, task.name))
        state[LOGS], request = asdict(call.state), call.request
        reasons.append(call.why)
        events += [_new_logs(task, call)] if request else []
    if request is None and runs_of(instance, task.name).going():
        reasons.append("other triggers wait for the current run to end")
    elif request is None:
        request = _next_of_model(task, home, instance, state, reasons)
    if request is None:
        return dg.SensorResult(skip_reason="; ".join(reasons), cursor=json.dumps(state))
    return dg.SensorResult([request], asset_events=events, cursor=json.dumps(state))


def _new_logs(task: Task, call: Call) -> dg.AssetMaterialization:
    """Return the new state of the drop folder."""
    return dg.AssetMaterialization(
        dg.AssetKey([task.name, LOGS]),
        description=call.why,
        metadata={"reason": call.why, "request": call.state.request},
        tags={"dagster/data_version": call.state.request},
    )


def _next_of_model(
    task: Task, home: Home, instance: dg.DagsterInstance, state: Json, reasons: list[str]
) -> dg.RunRequest | None:
    """Return the run that the champion's error or age, or another champion needs, if any.

    `state` and `reasons` are updated.
    """
    for trigger in (_drift, _age, _upstream):
        result = trigger(task, home, instance, state)
        if isinstance(result, dg.RunRequest):
            return result
        reasons += [result] if result else []
    return None


def _drift(
    task: Task, home: Home, _instance: dg.DagsterInstance, state: Json
) -> dg.RunRequest | str | None:
    """Request one run per set of drifting recordings."""
    if not (task.learn.from_logs and task.learn.gives == "dynamics" and task.retrain.on_drift):
        return None
    call = drift.next_training(task, home, state.get("drift", {}))
    state["drift"] = call.cursor
    return call.request or call.why


def _age(
    task: Task, home: Home, _instance: dg.DagsterInstance, state: Json
) -> dg.RunRequest | str | None:
    """Request one run per champion and dataset."""
    if task.retrain.max_age is None or not task.learn.from_logs:
        return None
    result = age.next_training(task, home, time.time())
    if isinstance(result, dg.SkipReason):
        return str(result.skip_message)
    if result.run_key == state.get("age"):
        return "the champion is too old, and a run was requested"
    state["age"] = result.run_key
    return result


def _upstream(
    task: Task, _home: Home, instance: dg.DagsterInstance, state: Json
) -> dg.RunRequest | str | None:
    """Request a run when a champion that this task starts from or trains in is replaced."""
    names = sorted({name for names in upstream_champions(task).values() for name in names})
    if not task.retrain.on_upstream or not names:
        return None
    previous, state["champions"] = state.get("champions"), _champions(instance, names)
    if previous is None or previous == state["champions"]:
        return f"no new champion of {', '.join(names)}"
    why = f"new champion of {', '.join(names)}"
    return dg.RunRequest(tags={**AUTOMATIC, **SOON, WHY: why})


def _champions(instance: dg.DagsterInstance, tasks: list[str]) -> dict[str, str]:
    """Return the champions of tasks as reported to Dagster, by task."""
    versions = dict[str, str]()
    for task in tasks:
        event = instance.get_latest_materialization_event(dg.AssetKey([task, CHAMPION]))
        made = event.asset_materialization if event else None
        versions[task] = (made.tags or {}).get("dagster/data_version", "") if made else ""
    return versions


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
