"""The gate: every rule of the family asked about one challenger."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.register.bundle import rollout_digest
from kinemill.register.rules import RULES, Champion, Contest, Verdict
from kinemill.register.versions import CHAMPION, Version, bundle_folder
from kinemill.spec import Task
from kinemill.store import Json
from kinemill.tracking import Tracking

# From a loaded champion to its `promote.metric` on the challenger's test split.
Evaluate = Callable[[Any], float]


def judge(contest: Contest) -> list[Verdict]:
    """Return the verdicts of all rules, in the order of their names."""
    return [verdict for name in RULES for verdict in RULES[name](contest)]


def make_contest(
    task: Task,
    challenger: Path,
    verification: Json,
    reigning: tuple[Tracking, Version] | None,
    evaluate: Evaluate,
) -> Contest:
    """Put a challenger's bundle against the reigning champion, which is measured afresh."""
    champion = None
    if reigning and CHAMPION in task.promote.beats:
        champion = _measure(task, reigning, challenger, evaluate)
    return Contest(task, verification, champion)


def _measure(
    task: Task, reigning: tuple[Tracking, Version], challenger: Path, evaluate: Evaluate
) -> Champion:
    from kinemill import runtime

    tracking, version = reigning
    number = version.number
    try:
        folder = bundle_folder(tracking, version)
        if rollout_digest(folder) == rollout_digest(challenger):
            return Champion(number, same=True)
        champion = runtime.load(folder)
    except (CorruptArtifact, BadInput) as error:
        return Champion(number, problem=f"champion version {number} cannot be loaded: {error}")
    differs = differences(champion.interface, runtime.load(challenger).interface)
    if differs:
        hint = f"--set 'promote.beats={_others(task)}' decides without it"
        return Champion(number, problem=f"cannot be compared: {'; '.join(differs)}; {hint}")
    try:
        return Champion(number, error=evaluate(champion))
    except BadInput as error:
        return Champion(number, problem=f"champion version {number} cannot be tried: {error}")


def _others(task: Task) -> str:
    return f"[{', '.join(name for name in task.promote.beats if name != CHAMPION)}]"


def differences(champion: Any, challenger: Any) -> list[str]:
    """Return in which ways two interfaces cannot be fed the same episodes; histories may differ."""
    found = [
        f"{name} of the champion {_spell(getattr(champion, name))}, of the challenger "
        f"{_spell(getattr(challenger, name))}"
        for name in ("states", "actions", "dt", "angles")
        if getattr(champion, name) != getattr(challenger, name)
    ]
    for name, unit in champion.units.items():
        other = challenger.units.get(name, unit)
        if other != unit:
            found.append(f"{name} of the champion in {unit}, of the challenger in {other}")
    return found


def _spell(value: tuple[str, ...] | float) -> str:
    return f"[{', '.join(value)}]" if isinstance(value, tuple) else str(value)
