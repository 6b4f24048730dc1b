"""What notes a run that failed or was canceled, and ends what it left open in MLflow."""

import json
from datetime import UTC, datetime

import dagster as dg
from dagster._core.events import JobFailureData
from dagster_shared.error import SerializableErrorInfo

from kinemill.store.home import Home
from kinemill.tracking import end_orphans

_EVERY = 5  # s, the floor of Dagster's sensor loop


@dg.run_failure_sensor(
    name="failures",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=_EVERY,
    description="Notes every failed run in dagster/failures.jsonl under the home.",
)
def failures(context: dg.RunFailureSensorContext) -> None:
    """Append one line for a failed run: which, when, what it said."""
    run, errors = context.dagster_run, context.get_step_failure_events()
    home, told = Home.resolve(), context.failure_event.event_specific_data
    # Monitoring says that a process is gone without any data.
    whole = told.error if isinstance(told, JobFailureData) else None
    line = {
        "run": run.run_id,
        "job": run.job_name,
        "noted_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "message": reason(whole) if whole else context.failure_event.message,
        "steps": {
            event.step_key: reason(event.step_failure_data.error)
            for event in errors
            if event.step_failure_data.error
        },
    }
    if not errors and whole is None and home.has_registry:
        end_orphans(home)  # its process was killed, and its training with it
    file = home.dagster / "failures.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as out:
        out.write(json.dumps(line) + "\n")
    context.log.error(f"{run.job_name} failed: {line['steps'] or line['message']}")


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.CANCELED,
    name="cancellations",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=_EVERY,
    description="Ends in MLflow what a canceled run had no time to end.",
)
def cancellations(context: dg.RunStatusSensorContext) -> None:
    """Mark the MLflow runs as KILLED whose processes are gone."""
    home = Home.resolve()
    if home.has_registry and (ended := end_orphans(home)):
        context.log.info(f"ended in MLflow: {', '.join(ended)}")


def reason(error: SerializableErrorInfo) -> str:
    """Return what we or a library said first, without what was wrapped around it."""
    said = error
    while said.cause is not None and not _is_ours(said):
        said = said.cause
    return said.message.strip()


def _is_ours(error: SerializableErrorInfo) -> bool:
    return error.message.startswith("kinemill.")
