"""Run status sensors: record failed runs, and end their open MLflow runs."""

import json
from datetime import UTC, datetime

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from kinemill.store.home import Home
from kinemill.tracking import end_orphans
from kinemill_dagster.resources.tags import title_of

# s; each tick writes to a database: with the 5 s of Dagster's loop these two were half of all ticks
_FAILURES = 60
_CANCELLATIONS = 60


@dg.run_failure_sensor(
    name="failures",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=_FAILURES,
    description="Appends every failed run to dagster/failures.jsonl in the home.",
)
def failures(context: dg.RunFailureSensorContext) -> None:
    """Append one line for a failed run: task, time and error."""
    run = context.dagster_run
    errors = context.get_step_failure_events()
    home = Home.resolve()
    failure = context.failure_event
    # Run monitoring reports a lost process without data.
    whole = failure.job_failure_data.error if failure.event_specific_data else None
    line = {
        "run": run.run_id,
        "task": title_of(run),
        "noted_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "message": reason(whole) if whole else failure.message,
        "steps": {
            event.step_key: reason(event.step_failure_data.error)
            for event in errors
            if event.step_failure_data.error
        },
    }
    if not errors and whole is None and home.has_registry:
        end_orphans(home)  # its process and its training were killed
    file = home.dagster / "failures.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as out:
        out.write(json.dumps(line) + "\n")
    context.log.error(f"{title_of(run)} failed: {line['steps'] or line['message']}")


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.CANCELED,
    name="cancellations",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=_CANCELLATIONS,
    description="Ends the MLflow runs that a canceled run left open.",
)
def cancellations(context: dg.RunStatusSensorContext) -> None:
    """Mark the MLflow runs as KILLED whose processes are gone."""
    home = Home.resolve()
    if home.has_registry and (ended := end_orphans(home)):
        context.log.info(f"ended in MLflow: {', '.join(ended)}")


def reason(error: SerializableErrorInfo) -> str:
    """Return the original error, without the errors that wrap it."""
    failure = error
    while failure.cause is not None and not _is_ours(failure):
        failure = failure.cause
    return failure.message.strip()


def _is_ours(error: SerializableErrorInfo) -> bool:
    return error.message.startswith("kinemill.")
