"""Triggers of a training other than new logs: drift, staleness of the champion, another champion.

Each returns a run to request, or why there is none; "" if the task does not use the trigger. It
updates its entry of `state`, the state of the task between ticks, so that it requests a run once.
"""

import time
from collections.abc import Iterable
from datetime import datetime

import dagster as dg

from kinemill.errors import BadInput
from kinemill.store import MANIFEST, Json, digest, read_json
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate.drift.documents import DriftingRecording, LatestDrift
from kinemill_dagster.assets.lineage import CHAMPION, upstream_champions
from kinemill_dagster.resources.io import latest
from kinemill_dagster.resources.tags import AUTOMATIC, SOON, WHY

_LISTED = 3  # drifting recordings named in the reason of a run
_DAY = 86400.0  # s


def on_drift(task: Task, home: Home, state: Json) -> dg.RunRequest | str:
    """Request a run per set of drifting recordings.

    Recordings in the dataset of the newest model, used or not, do not trigger a run: training again
    would not use more of them.
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
    return _request(task, why, f"drift-{request[:16]}")


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


def on_age(task: Task, home: Home, state: Json, moment: float | None = None) -> dg.RunRequest | str:
    """Request a run at `moment` (s since the epoch) if the champion is older than `max_age`.

    Without a new dataset a training would produce the same model, so none is requested. A pair of
    champion and dataset is requested once.
    """
    from kinemill.register import tags
    from kinemill.register.versions import champion_of

    most = task.retrain.max_age
    if most is None or not task.learn.from_logs:
        return ""
    champion = champion_of(home, task.name)
    if champion is None:
        return f"{task.name} has no champion yet"
    now = time.time() if moment is None else moment
    days = (now - datetime.fromisoformat(champion.created).timestamp()) / _DAY
    why = f"champion version {champion.number} is {days:.1f} days old"
    if days * _DAY <= most:
        return f"{why}, of {most / _DAY:g}"
    dataset = latest(home, task.name, "dataset")
    if dataset is None or dataset.digest == champion.tags.get(tags.DATASET):
        return f"{why}, but there are no new logs"
    request = f"age-{champion.number}-{dataset.digest[:16]}"
    if request == state.get("age"):
        return f"already requested: {why}"
    state["age"] = request
    return _request(task, why, request)


def on_upstream(task: Task, instance: dg.DagsterInstance, state: Json) -> dg.RunRequest | str:
    """Request a run when a champion that the task starts from or trains in is replaced."""
    names = sorted({name for names in upstream_champions(task).values() for name in names})
    if not task.retrain.on_upstream or not names:
        return ""
    previous = state.get("champions")
    champions = {name: _champion(instance, name) for name in names}
    state["champions"] = champions
    if previous is None or previous == champions:
        return f"no new champion of {', '.join(names)}"
    return _request(task, f"new champion of {', '.join(names)}")


def _champion(instance: dg.DagsterInstance, task: str) -> str:
    """Return the champion of a task as reported to Dagster; "" without one."""
    event = instance.get_latest_materialization_event(dg.AssetKey([task, CHAMPION]))
    made = event.asset_materialization if event else None
    return (made.tags or {}).get("dagster/data_version", "") if made else ""


def _request(task: Task, why: str, key: str | None = None) -> dg.RunRequest:
    """Return the request of a whole run; Dagster starts one with a key once."""
    return dg.RunRequest(
        run_key=f"{task.name}-{key}" if key else None,
        job_name=task.name,
        tags={**AUTOMATIC, **SOON, WHY: why},
    )
