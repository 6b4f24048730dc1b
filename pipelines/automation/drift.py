"""Drift trigger: request a training when new recordings drift from the champion."""

from collections.abc import Iterable

import dagster as dg

from kinemill.errors import BadInput
from kinemill.store import MANIFEST, Json, digest, read_json
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate.drift.documents import DriftingRecording, LatestDrift
from kinemill_dagster.resources.io import latest
from kinemill_dagster.resources.tags import AUTOMATIC, SOON, WHY

_LISTED = 3  # drifting recordings named in the reason of a run


def on_drift(task: Task, home: Home, state: Json) -> dg.RunRequest | str:
    """Return a run to request, or why there is none; "" if the task does not use the trigger.

    The entry `drift` of `state`, the state of the task between ticks, has the last request: a set
    of drifting recordings is requested once. Recordings in the dataset of the newest model, used
    or not, do not trigger a run: training again would not use more of them.
    """
    from kinemill.validate.drift import latest_drift

    if not (task.learn.from_logs and task.learn.gives == "dynamics" and task.retrain.on_drift):
        return ""
    drift = latest_drift(home, task.name)
    if drift is None:
        return "no new episode was evaluated yet"
    if drift.champion is None:
        return f"no episode was evaluated: {drift.status}"
    listed = _listed(task, home, [item.recording for item in drift.drifting])
    new = [item for item in drift.drifting if item.recording not in listed]
    if not new:
        return _without_drift(drift)
    request = digest([item.recording for item in new])
    why = _describe_drift(drift.champion, new)
    if request == state.get("drift"):
        return f"already requested: {why}"
    state["drift"] = request
    return dg.RunRequest(
        run_key=f"{task.name}-drift-{request[:16]}",  # Dagster starts one run with a key
        job_name=task.name,
        tags={**AUTOMATIC, **SOON, WHY: why},
    )


def _without_drift(drift: LatestDrift) -> str:
    text = f"{drift.counts.drift} of {drift.counts.episodes} new episodes drift"
    listed = "; the dataset of the newest model contains their recordings"
    return f"{text}{listed if drift.drifting else ''}"


def _describe_drift(champion: int, new: list[DriftingRecording]) -> str:
    text = "; ".join(f"{item.name}: {item.message}" for item in new[:_LISTED])
    more = f"; and {len(new) - _LISTED} more" if len(new) > _LISTED else ""
    return f"{len(new)} new recordings drift from champion version {champion}: {text}{more}"


def _listed(task: Task, home: Home, recordings: Iterable[str]) -> set[object]:
    """Return the recordings that are in the dataset of the newest model."""
    selected = list(recordings)
    model = latest(home, task.name, "model")
    if not selected or model is None:
        return set()
    import polars as pl

    from kinemill.dataset import find_version, scan_listing

    manifest = home.root / model.path / MANIFEST
    try:
        dataset = find_version(home, task.name, read_json(manifest)["inputs"]["dataset"])
        listing = scan_listing(dataset.folder(home)).filter(pl.col("recording").is_in(selected))
        return set(listing.select(pl.col("recording").unique()).collect()["recording"])
    except (BadInput, FileNotFoundError):
        return set()  # model or dataset was deleted
