"""What starts a chain when logs arrive, and what notes a failed run."""

import json
import os
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from kinemill.errors import KinemillError
from kinemill.home import Home
from kinemill.spec import Task, load_task
from kinemill.store import digest
from kinemill.tracking import end_orphans

_EVERY = 5  # s, the floor of Dagster's sensor loop
_UP_TO_DATASET = ("recordings", "episodes", "dataset")


def arrivals(task: Task) -> dg.SensorDefinition:
    """Make the sensor that runs the chain of `task` once for every new set of logs.

    Files that still grow are left alone. With `retrain.after_new_recordings` above 1, logs run up
    to the dataset at once, and the rest of the chain when enough of them have come.
    """

    @dg.sensor(
        name=f"{task.name}_arrivals",
        job_name=task.name,
        minimum_interval_seconds=_EVERY,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Runs the chain when logs arrive in the drop folder of {task.name}.",
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            now = load_task(task.path or task.name)
        except KinemillError as error:
            return dg.SkipReason(str(error))
        seen: dict[str, Any] = json.loads(context.cursor or "{}")
        request, seen = next_run(now, Home.resolve(), seen)
        if request is None:
            return dg.SkipReason("no new logs")
        return dg.SensorResult(run_requests=[request], cursor=json.dumps(seen))

    return watch


def next_run(
    task: Task, home: Home, seen: dict[str, Any]
) -> tuple[dg.RunRequest | None, dict[str, Any]]:
    """Decide what the logs in the drop folder call for, given what was `seen` before.

    Returns:
        The run to start, or None; and what has been seen now: `arrived`, the set of logs of the
        last request, and `trained`, how many recordings the last whole chain started from.
    """
    from kinemill.ingest.arriving import NOTHING, fingerprint
    from kinemill.ingest.stage import drop_folder

    contents = fingerprint(task, home, drop_folder(task, home))
    threshold, trained = task.retrain.after_new_recordings, seen.get("trained", 0)
    if contents != NOTHING:
        rules = digest(task.model_dump(mode="json", by_alias=True))
        arrived = f"{contents[:16]}-{rules[:16]}"
        if arrived != seen.get("arrived"):
            request = _request(task, arrived, whole=threshold == 1)
            return request, {"arrived": arrived, "trained": trained}
    recordings = _recordings(home, task.name)
    if threshold > 1 and recordings - trained >= threshold:
        request = _request(task, f"train-{recordings}-{seen.get('arrived')}", whole=True)
        return request, {**seen, "trained": recordings}
    return None, seen


def _recordings(home: Home, task: str) -> int:
    """Return how many recordings of the task are known, counted without reading any."""
    folder = home.store / "members" / task
    if not folder.is_dir():
        return 0
    with os.scandir(folder) as entries:  # of a hundred thousand, `iterdir` would make as many paths
        return sum(1 for _ in entries)


def _request(task: Task, key: str, *, whole: bool) -> dg.RunRequest:
    selection = None if whole else [dg.AssetKey([task.name, asset]) for asset in _UP_TO_DATASET]
    return dg.RunRequest(run_key=f"{task.name}-{key}", asset_selection=selection)


@dg.run_failure_sensor(
    name="failures",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=_EVERY,
    description="Notes every failed run in dagster/failures.jsonl under the home.",
)
def failures(context: dg.RunFailureSensorContext) -> None:
    """Append one line for a failed run: which, when, what it said."""
    run, errors = context.dagster_run, context.get_step_failure_events()
    home, whole = Home.resolve(), context.failure_event.job_failure_data.error
    line = {
        "run": run.run_id,
        "job": run.job_name,
        "noted_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "message": _reason(whole) if whole else context.failure_event.message,
        "steps": {
            event.step_key: _reason(event.step_failure_data.error)
            for event in errors
            if event.step_failure_data.error
        },
    }
    if not errors and whole is None and home.mlflow_db.is_file():
        end_orphans(home)  # its process was killed, and its training with it
    file = home.dagster / "failures.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as out:
        out.write(json.dumps(line) + "\n")
    context.log.error(f"{run.job_name} failed: {line['steps'] or line['message']}")


def _reason(error: SerializableErrorInfo) -> str:
    """Return what we or a library said first, without what was wrapped around it."""
    said = error
    while said.cause is not None and not _is_ours(said):
        said = said.cause
    return said.message.strip()


def _is_ours(error: SerializableErrorInfo) -> bool:
    return error.message.startswith("kinemill.")
