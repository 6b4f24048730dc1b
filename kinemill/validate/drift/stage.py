"""Evaluate drift on all new episodes of a task; each recording is measured once."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path

from kinemill.catalog.evaluations import ListedEpisode
from kinemill.errors import BadInput, CorruptArtifact
from kinemill.store import ArtifactRef, Home, publish_document, read_document
from kinemill.task import Task
from kinemill.task.protocols import Champion, NullReporter, Progress
from kinemill.validate.drift.documents import (
    DRIFT,
    EVALUATED,
    NO_CHAMPION,
    NO_DRIFT,
    NOT_COMPARABLE,
    TOO_SHORT,
    DriftChampion,
    DriftCounts,
    DriftingRecording,
    DriftReport,
    EpisodeMeasurement,
    EpisodeVerdict,
    LatestDrift,
    Status,
)
from kinemill.validate.drift.evaluate import DriftEvaluator
from kinemill.validate.drift.reference import Reference, make_reference, open_simulator
from kinemill.validate.stage import list_episodes


def find_drift(
    task: Task,
    home: Home,
    episodes: ArtifactRef,
    find_champion: Callable[[], Champion | None],
    progress: Progress | None = None,
) -> DriftReport:
    """Measure the champion's error on every episode that is not in its dataset.

    An episode drifts if the error of any state is more than `retrain.drift_factor` times the usual
    one. Recordings in the champion's dataset are left out: it was trained on them, or they define
    the usual error. A champion that cannot be evaluated changes the status and raises no error,
    so that new logs are accepted anyway.
    """
    try:
        champion = find_champion()
        if champion is None:
            why = f"no version of {task.name} is champion"
            return _publish_latest(home, _empty_report(task, NO_CHAMPION, why))
        evaluator = _make_evaluator(task, home, champion, progress or NullReporter())
    except (BadInput, CorruptArtifact) as error:
        return _publish_latest(home, _empty_report(task, NOT_COMPARABLE, str(error)))
    verdicts = [
        _verdict(task, episode, measured)
        for episode, measured in evaluator.measure(list_episodes(home, episodes))
    ]
    return _publish_latest(home, _report(task, champion, evaluator.reference, verdicts))


def _make_evaluator(
    task: Task, home: Home, champion: Champion, progress: Progress
) -> DriftEvaluator:
    simulator = open_simulator(task, champion)
    reference = make_reference(task, home, champion, simulator)
    return DriftEvaluator(task, home, simulator, reference, champion.used(), progress)


def _empty_report(task: Task, status: Status, why: str) -> DriftReport:
    horizon = task.verify.horizon
    return DriftReport(
        task.name, status, why, task.retrain.drift_factor, horizon, horizon * task.dt
    )


def _report(
    task: Task, champion: Champion, reference: Reference, verdicts: list[EpisodeVerdict]
) -> DriftReport:
    ordered = sorted(
        verdicts, key=lambda verdict: (verdict.verdict != DRIFT, verdict.name, verdict.episode)
    )
    counts = Counter(result.verdict for result in ordered)
    worst: dict[str, EpisodeVerdict] = {}
    for result in ordered:
        largest = worst.setdefault(result.recording, result)
        if _size(result.ratio) > _size(largest.ratio):
            worst[result.recording] = result
    return replace(
        _empty_report(task, EVALUATED, ""),
        champion=DriftChampion(
            champion.version,
            champion.dataset,
            {name: task.channels[name].unit for name in task.states},
            reference.held_out,
        ),
        counts=DriftCounts(
            len(worst), len(ordered), counts[DRIFT], counts[NO_DRIFT], counts[TOO_SHORT]
        ),
        drifting=[
            DriftingRecording(hash_, result.name, result.message)
            for hash_, result in sorted(worst.items())
            if result.verdict == DRIFT
        ],
        episodes=ordered,
    )


def _verdict(task: Task, listed: ListedEpisode, measured: EpisodeMeasurement) -> EpisodeVerdict:
    errors = measured.errors
    worst = max(errors, key=lambda name: _size(errors[name].ratio)) if errors else None
    ratio = errors[worst].ratio if worst else 0.0
    drifts = _size(ratio) > task.retrain.drift_factor
    return EpisodeVerdict(
        **vars(measured),
        recording=listed.recording,
        name=listed.name,
        verdict=DRIFT if drifts else NO_DRIFT if worst else TOO_SHORT,
        message=_describe(task, measured, worst),
        worst=worst,
        ratio=ratio,
    )


def _size(ratio: float | None) -> float:
    """Return a ratio; the ratio of a diverging rollout is infinite."""
    return inf if ratio is None else ratio


def _describe(task: Task, measured: EpisodeMeasurement, worst: str | None) -> str:
    horizon = task.verify.horizon
    if worst is None:
        return f"{measured.rows} rows are too few for the history and {horizon} steps"
    error = measured.errors[worst]
    if error.rmse is None or error.ratio is None:
        return f"{worst}: the champion's predictions diverge within {horizon} steps"
    return (
        f"{worst} has an error of {error.rmse:.3g} {error.unit} {horizon} steps ahead, "
        f"{error.ratio:.2g} times the usual {error.usual:.3g}"
    )


def _publish_latest(home: Home, report: DriftReport) -> DriftReport:
    """Publish the short form of a report for sensors and alerts."""
    champion = report.champion.version if report.champion else None
    latest = LatestDrift(report.status, report.counts, report.drifting, champion)
    if latest_drift(home, report.task) != latest:
        publish_document(_path(home, report.task), latest)
    return report


def _path(home: Home, task: str) -> Path:
    return home.store / "drift" / f"{task}.json"


def latest_drift(home: Home, task: str) -> LatestDrift | None:
    """Return the short form of the last drift report of a task."""
    path = _path(home, task)
    return read_document(path, LatestDrift) if path.is_file() else None
