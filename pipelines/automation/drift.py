"""Drift: decide whether new logs that drift from the champion need a training."""

from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg

from kinemill.errors import BadInput
from kinemill.store import MANIFEST, Json, digest, read_json
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate.drift.documents import DriftingRecording, LatestDrift
from kinemill_dagster.resources.io import latest
from kinemill_dagster.resources.tags import AUTOMATIC, SOON, WHY

_LISTED = 3  # drifting recordings named in the reason of a run


@dataclass(frozen=True)
class Call:
    """Decision about the last drift result: a run or none, the reason, and the new cursor."""

    request: dg.RunRequest | None
    why: str
    cursor: Json


def next_training(task: Task, home: Home, cursor: Json) -> Call:
    """Decide whether the last drift result needs a run, given earlier requests.

    Recordings in the dataset of the newest model, used or not, do not trigger a run: training again
    would not use more of them.
    """
    from kinemill.validate.drift import latest_drift

    if not task.retrain.on_drift:
        return Call(None, "retrain.on_drift is off", cursor)
    drift = latest_drift(home, task.name)
    if drift is None:
        return Call(None, "no new episode was evaluated yet", cursor)
    if drift.champion is None:
        return Call(None, f"no episode was evaluated: {drift.status}", cursor)
    listed = _listed(task, home, [item.recording for item in drift.drifting])
    new = [item for item in drift.drifting if item.recording not in listed]
    if not new:
        return Call(None, _quiet(drift), cursor)
    request_digest = digest([item.recording for item in new])
    why = _why(drift.champion, new)
    if request_digest == cursor.get("request"):
        return Call(None, f"already requested: {why}", cursor)
    tags = {**AUTOMATIC, **SOON, WHY: why}
    key = f"{task.name}-drift-{request_digest[:16]}"
    request = dg.RunRequest(run_key=key, job_name=task.name, tags=tags)
    return Call(request, why, {"request": request_digest})


def _quiet(drift: LatestDrift) -> str:
    counts = drift.counts
    drifting = len(drift.drifting)
    text = f"{counts.drift} of {counts.episodes} new episodes drift"
    return (
        f"{text}; the dataset of the newest model contains their recordings" if drifting else text
    )


def _why(champion: int, new: list[DriftingRecording]) -> str:
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
