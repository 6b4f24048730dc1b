"""Drift as a check of the asset `episodes`: the champion's own error on logs it never saw."""

from collections.abc import Iterable

from assets.stage import CheckResult, CheckSpec
from kinemill.store import ArtifactRef, Json
from kinemill.task import Task
from kinemill.task.protocols import Progress
from resources.task_resource import TaskResource

CHECK = "drift"
_ASKED = CheckSpec("the champion errs on new episodes no more than on those held out for it")


def asked(task: Task) -> dict[str, CheckSpec]:
    """Return the check, of a task whose champion predicts; a policy foretells nothing."""
    return {CHECK: _ASKED} if task.learn.gives == "dynamics" else {}


def answers(mill: TaskResource, episodes: ArtifactRef, progress: Progress) -> list[CheckResult]:
    """Ask the champion about the new ones among the accepted episodes; it warns, never blocks."""
    return [_answer(mill, episodes, progress)] if asked(mill.task) else []


def _answer(mill: TaskResource, episodes: ArtifactRef, progress: Progress) -> CheckResult:
    from kinemill.register.champion import reigning
    from kinemill.validate.drift import find_drift

    task, home = mill.task, mill.home
    found = find_drift(task, home, episodes, lambda: reigning(home, task.name), progress)
    status = {"status": found["status"]}
    if found["status"] != "judged":
        return CheckResult(CHECK, True, f"{found['status']}: {found['why']}", status)
    counts, champion = found["counts"], found["champion"]
    told = (
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
    return CheckResult(CHECK, counts["drift"] == 0, told, values)


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
