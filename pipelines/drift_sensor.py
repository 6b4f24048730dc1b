"""What starts a training when the champion no longer predicts what the robot does."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import dagster as dg

from kinemill.errors import BadInput, KinemillError
from kinemill.store import MANIFEST, Json, digest, read_json
from kinemill.store.home import Home
from kinemill.task import Task, load_task
from pipelines.log_sensor import runs_of
from resources.io import latest
from resources.tags import AUTOMATIC, SOON, WHY

_EVERY = 5  # s, the floor of Dagster's sensor loop
_TOLD = 3  # drifting recordings named in the reason of a run


def drifts(task: Task) -> dg.SensorDefinition:
    """Make the sensor that runs the chain of `task` once for every new set of drifting recordings.

    It looks at what the last run, or `kinemill drift`, has found; it judges nothing itself.
    """

    @dg.sensor(
        name=f"{task.name}_drift",
        job_name=task.name,
        minimum_interval_seconds=_EVERY,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Runs the chain of {task.name} when new logs drift from its champion.",
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            now = load_task(task.path or task.name)
        except KinemillError as error:
            return dg.SkipReason(str(error))
        seen: Json = json.loads(context.cursor or "{}")
        call = next_training(now, Home.resolve(), seen)
        if call.request is None:
            return dg.SkipReason(call.why)
        # Asked last: it may be about to learn from the very recordings.
        if runs_of(context.instance, task.name).going():
            return dg.SkipReason(f"{call.why}; looked at again when the run under way has ended")
        context.log.info(call.why)
        return dg.SensorResult(run_requests=[call.request], cursor=json.dumps(call.seen))

    return watch


@dataclass(frozen=True)
class Call:
    """What drift calls for: a run or none, why, and what has been asked for by now."""

    request: dg.RunRequest | None
    why: str
    seen: Json


def next_training(task: Task, home: Home, seen: Json) -> Call:
    """Decide what the drift found last calls for, given what was asked for before.

    Recordings that the newest model's dataset lists, used or not, call for nothing: training once
    more would not learn more from them.
    """
    from kinemill.validate.drift import latest_drift

    if not task.retrain.on_drift:
        return Call(None, "retrain.on_drift is off", seen)
    found = latest_drift(home, task.name)
    if found is None:
        return Call(None, "no new episode was judged yet", seen)
    if found["status"] != "judged":
        return Call(None, f"nothing was judged: {found['status']}", seen)
    listed = _listed(task, home, [item["recording"] for item in found["drifting"]])
    new = [item for item in found["drifting"] if item["recording"] not in listed]
    if not new:
        return Call(None, _quiet(found), seen)
    asked, why = digest([item["recording"] for item in new]), _why(found["champion"], new)
    if asked == seen.get("asked"):
        return Call(None, f"asked for already: {why}", seen)
    tags = {**AUTOMATIC, **SOON, WHY: why}
    request = dg.RunRequest(run_key=f"{task.name}-drift-{asked[:16]}", tags=tags)
    return Call(request, why, {"asked": asked})


def _quiet(found: Json) -> str:
    counts, drifting = found["counts"], len(found["drifting"])
    told = f"{counts['drift']} of {counts['episodes']} new episodes drift"
    return f"{told}; the newest model knows their recordings" if drifting else told


def _why(champion: int, new: list[Json]) -> str:
    told = "; ".join(f"{item['name']}: {item['told']}" for item in new[:_TOLD])
    more = f"; and {len(new) - _TOLD} more" if len(new) > _TOLD else ""
    return f"{len(new)} new recordings drift from champion version {champion}: {told}{more}"


def _listed(task: Task, home: Home, recordings: Iterable[str]) -> set[Any]:
    """Return which of the recordings the dataset of the newest model lists."""
    wanted, model = list(recordings), latest(home, task.name, "model")
    if not wanted or model is None:
        return set()
    import polars as pl

    from kinemill.dataset import find_version, scan_listing

    manifest = home.root / model.path / MANIFEST
    try:
        dataset = find_version(home, task.name, read_json(manifest)["inputs"]["dataset"])
        listing = scan_listing(dataset.folder(home)).filter(pl.col("recording").is_in(wanted))
        return set(listing.select(pl.col("recording").unique()).collect()["recording"])
    except (BadInput, FileNotFoundError):
        return set()  # model or dataset is gone: nothing says what was learned
