"""Drift as a check of the asset `episodes`: the champion's error on new logs."""

from collections.abc import Iterable

from kinemill.store import ArtifactRef, Json
from kinemill.task import Task
from kinemill.task.protocols import Progress
from kinemill_dagster.assets.stage import CheckResult, CheckSpec
from kinemill_dagster.resources.task_resource import TaskResource

CHECK = "drift"
_CHECK = CheckSpec(
    "the champion's error on new episodes is not larger than on its held-out episodes"
)


def check_specs(task: Task) -> dict[str, CheckSpec]:
    """Return the check for a task with a dynamics model; empty for policies."""
    return {CHECK: _CHECK} if task.learn.gives == "dynamics" else {}


def drift_checks(
    resource: TaskResource, episodes: ArtifactRef, progress: Progress
) -> list[CheckResult]:
    """Measure the champion on new accepted episodes. The check warns and never blocks."""
    return [_drift_check(resource, episodes, progress)] if check_specs(resource.task) else []


def _drift_check(resource: TaskResource, episodes: ArtifactRef, progress: Progress) -> CheckResult:
    from kinemill.register.champion import load_champion
    from kinemill.validate.drift import find_drift

    task, home = resource.task, resource.home
    drift = find_drift(task, home, episodes, lambda: load_champion(home, task.name), progress)
    status = {"status": drift["status"]}
    if drift["status"] != "judged":
        return CheckResult(CHECK, True, f"{drift['status']}: {drift['why']}", status)
    counts, champion = drift["counts"], drift["champion"]
    text = (
        f"{counts['drift']} of {counts['episodes']} new episodes drift from champion version "
        f"{champion['version']}"
    )
    values = {
        **status,
        "champion": champion["version"],
        **counts,
        **{
            f"held-out error of {name}": error
            for name, error in champion["held_out"]["rmse"].items()
        },
        "factor": drift["rule"]["factor"],
        "new_episodes": [_row(line, champion["units"]) for line in drift["episodes"]],
        "drifting": drift["drifting"],
    }
    return CheckResult(CHECK, counts["drift"] == 0, text, values)


def _row(line: Json, states: Iterable[str]) -> Json:
    errors = line["errors"]
    ratios = {f"{name}, times usual": errors.get(name, {}).get("ratio") for name in states}
    coverage = line["coverage"].values()
    return {
        "name": line["name"],
        "episode": line["episode"],
        "verdict": line["verdict"],
        "worst": line["worst"],
        **ratios,
        "PSI, most": max(each["psi"] for each in coverage),
        "KS, most": max(each["ks"] for each in coverage),
        "told": line["told"],
    }
