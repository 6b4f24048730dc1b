"""Drift as a check of the asset `episodes`: the champion's error on new logs."""

from collections.abc import Iterable

from assets.stage import CheckResult, CheckSpec
from kinemill.store import ArtifactRef, Json
from kinemill.task import Task
from kinemill.task.protocols import Progress
from resources.task_resource import TaskResource

CHECK = "drift"
_CHECK = CheckSpec(
    "the champion's error on new episodes is not larger than on its held-out episodes"
)


def check_specs(task: Task) -> dict[str, CheckSpec]:
    """Return the check for a task with a dynamics model; empty for policies."""
    return {CHECK: _CHECK} if task.learn.gives == "dynamics" else {}


def answers(resource: TaskResource, episodes: ArtifactRef, progress: Progress) -> list[CheckResult]:
    """Measure the champion on new accepted episodes. The check warns and never blocks."""
    return [_answer(resource, episodes, progress)] if check_specs(resource.task) else []


def _answer(resource: TaskResource, episodes: ArtifactRef, progress: Progress) -> CheckResult:
    from kinemill.register.champion import load_champion
    from kinemill.validate.drift import find_drift

    task, home = resource.task, resource.home
    found = find_drift(task, home, episodes, lambda: load_champion(home, task.name), progress)
    status = {"status": found["status"]}
    if found["status"] != "judged":
        return CheckResult(CHECK, True, f"{found['status']}: {found['why']}", status)
    counts, champion = found["counts"], found["champion"]
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
        "factor": found["rule"]["factor"],
        "new_episodes": [_row(line, champion["units"]) for line in found["episodes"]],
        "drifting": found["drifting"],
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
