"""The verdict on all new episodes of a task, as one document; each recording is judged once."""

from collections import Counter
from collections.abc import Callable
from math import inf
from pathlib import Path

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.store import ArtifactRef, Json, publish_json, read_json
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.protocols import Champion, NullReporter, Progress
from kinemill.validate.drift.evaluate import DriftEvaluator
from kinemill.validate.drift.reference import Reference, make_reference, open_simulator
from kinemill.validate.previous_snapshot import shards_of

DRIFT, NO_DRIFT, TOO_SHORT = "drift", "no drift", "too short"

FindChampion = Callable[[], Champion | None]


def find_drift(
    task: Task,
    home: Home,
    episodes: ArtifactRef,
    find_champion: FindChampion,
    progress: Progress | None = None,
) -> Json:
    """Judge every episode that the champion never saw by the champion's own error on it.

    An episode drifts if in any channel that error is more than `retrain.drift_factor` times the
    usual one. Recordings on any side of the champion's dataset are not judged: it learned from
    them, or they are what is usual.

    Args:
        task: its `verify` part says how errors are measured.
        home: where outcomes are kept.
        episodes: what `validate` published.
        find_champion: asks for the champion; there may be none.
        progress: told after every recording.

    Returns:
        the document: `status` is `judged`, `no champion`, or `not comparable` with `why`; never an
        error, since a champion that cannot be asked must not keep new logs out.
    """
    try:
        champion = find_champion()
        evaluator = (
            _make_evaluator(task, home, champion, progress or NullReporter()) if champion else None
        )
    except (BadInput, CorruptArtifact) as error:
        return _publish_latest(task, home, _empty_document(task, "not comparable", str(error)))
    if champion is None or evaluator is None:
        why = f"no version of {task.name} has passed the gate yet"
        return _publish_latest(task, home, _empty_document(task, "no champion", why))
    lines = [
        _line(task, line, recording)
        for shard in shards_of(home, episodes)
        for recording in evaluator.shard(shard)
        for line in recording["episodes"]
    ]
    return _publish_latest(task, home, _document(task, champion, evaluator.reference, lines))


def _make_evaluator(
    task: Task, home: Home, champion: Champion, progress: Progress
) -> DriftEvaluator:
    simulator = open_simulator(task, champion)
    reference = make_reference(task, home, champion, simulator)
    return DriftEvaluator(task, home, simulator, reference, champion.used(), progress)


def _empty_document(task: Task, status: str, why: str) -> Json:
    return {
        "task": task.name,
        "status": status,
        "why": why,
        "champion": None,
        "rule": _rule(task),
        "counts": {"recordings": 0, "episodes": 0, DRIFT: 0, NO_DRIFT: 0, TOO_SHORT: 0},
        "drifting": [],
        "episodes": [],
    }


def _rule(task: Task) -> Json:
    return {
        "factor": task.retrain.drift_factor,
        "horizon": task.verify.horizon,
        "stride": task.verify.stride,
        "seconds": task.verify.horizon * task.dt,
    }


def _document(task: Task, champion: Champion, reference: Reference, lines: list[Json]) -> Json:
    lines.sort(key=lambda line: (line["verdict"] != DRIFT, line["name"], line["episode"]))
    verdicts = Counter(line["verdict"] for line in lines)
    worst: dict[str, Json] = {}
    for line in lines:
        largest = worst.setdefault(line["recording"], line)
        if _size(line["ratio"]) > _size(largest["ratio"]):
            worst[line["recording"]] = line
    return {
        **_empty_document(task, "judged", ""),
        "champion": {
            "version": champion.version,
            "dataset": champion.dataset,
            "units": {name: task.channels[name].unit for name in task.states},
            "held_out": reference.summary,
        },
        "counts": {
            "recordings": len(worst),
            "episodes": len(lines),
            **{verdict: verdicts[verdict] for verdict in (DRIFT, NO_DRIFT, TOO_SHORT)},
        },
        "drifting": [
            {"recording": hash_, "name": line["name"], "told": line["told"]}
            for hash_, line in sorted(worst.items())
            if line["verdict"] == DRIFT
        ],
        "episodes": lines,
    }


def _line(task: Task, measured: Json, recording: Json) -> Json:
    """Return the verdict on one episode, and what a person is told about it."""
    errors: dict[str, Json] = measured["errors"]
    worst = max(errors, key=lambda at: _size(errors[at]["ratio"])) if errors else None
    ratio = errors[worst]["ratio"] if worst else 0.0
    drifts = _size(ratio) > task.retrain.drift_factor
    return {
        "episode": measured["episode"],
        "recording": recording["recording"],
        "name": recording["name"],
        "verdict": DRIFT if drifts else NO_DRIFT if worst else TOO_SHORT,
        "told": _describe(task, measured, worst),
        "worst": worst,
        "ratio": ratio,
        **{key: value for key, value in measured.items() if key != "episode"},
    }


def _size(ratio: float | None) -> float:
    """Return a ratio; that of a rollout which ran away is larger than any."""
    return inf if ratio is None else ratio


def _describe(task: Task, measured: Json, worst: str | None) -> str:
    horizon = task.verify.horizon
    if worst is None:
        return f"{measured['rows']} rows hold no window of the history and {horizon} steps"
    error = measured["errors"][worst]
    if error["ratio"] is None:
        return f"{worst}: the champion's own predictions run away within {horizon} steps"
    return (
        f"{worst} errs by {error['rmse']:.3g} {error['unit']} {horizon} steps ahead, "
        f"{error['ratio']:.2g} times the usual {error['usual']:.3g}"
    )


def _publish_latest(task: Task, home: Home, document: Json) -> Json:
    """Note what was found last, in a few words, for whoever watches the task."""
    note = {key: document[key] for key in ("status", "counts", "drifting")}
    note["champion"] = document["champion"]["version"] if document["champion"] else None
    if latest_drift(home, task.name) != note:
        publish_json(_path(home, task.name), note)
    return document


def _path(home: Home, task: str) -> Path:
    return home.store / "drift" / f"{task}.json"


def latest_drift(home: Home, task: str) -> Json | None:
    """Return what was found last: `status`, `counts`, `drifting`, version of the champion."""
    path = _path(home, task)
    return read_json(path) if path.is_file() else None
