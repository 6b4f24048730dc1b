"""Data drift as a check of the asset `episodes`: the champion's error on new logs."""

from collections.abc import Iterable

from kinemill.store import ArtifactRef, Json, to_json_value
from kinemill.task import Task
from kinemill.task.protocols import Progress
from kinemill.validate.check_results import CheckOutcome
from kinemill.validate.drift.documents import EpisodeVerdict
from kinemill_dagster.assets.stage import CheckSpec
from kinemill_dagster.resources.task_resource import TaskResource

CHECK = "drift"
_CHECK = CheckSpec(
    "the champion's error on new episodes does not exceed that on its held-out episodes"
)


def check_specs(task: Task) -> dict[str, CheckSpec]:
    """Return the check for a task with a dynamics model; empty for policies."""
    return {CHECK: _CHECK} if task.learn.gives == "dynamics" else {}


def drift_checks(
    resource: TaskResource, episodes: ArtifactRef, progress: Progress
) -> list[CheckOutcome]:
    """Measure the champion on new accepted episodes. The check warns and never blocks."""
    return [_drift_check(resource, episodes, progress)] if check_specs(resource.task) else []


def _drift_check(resource: TaskResource, episodes: ArtifactRef, progress: Progress) -> CheckOutcome:
    from kinemill.register.champion import load_champion
    from kinemill.validate.drift import find_drift

    task = resource.task
    home = resource.home
    report = find_drift(task, home, episodes, lambda: load_champion(home, task.name), progress)
    status = {"status": report.status}
    if report.champion is None:
        return CheckOutcome(CHECK, True, f"{report.status}: {report.why}", status)
    counts = report.counts
    champion = report.champion
    text = (
        f"{counts.drift} of {counts.episodes} new episodes drift from champion version "
        f"{champion.version}"
    )
    values = {
        **status,
        "champion": champion.version,
        **to_json_value(counts),
        **{f"held-out error of {name}": error for name, error in champion.held_out.items()},
        "factor": report.factor,
        "new_episodes": [_row(verdict, champion.units) for verdict in report.episodes],
        "drifting": to_json_value(report.drifting),
    }
    return CheckOutcome(CHECK, counts.drift == 0, text, values)


def _row(verdict: EpisodeVerdict, states: Iterable[str]) -> Json:
    errors = verdict.errors
    return {
        "name": verdict.name,
        "episode": verdict.episode,
        "verdict": verdict.verdict,
        "worst": verdict.worst,
        **{
            f"{name}, times usual": errors[name].ratio if name in errors else None
            for name in states
        },
        "maximum PSI": max(verdict.stability.values()),
        "message": verdict.message,
    }
