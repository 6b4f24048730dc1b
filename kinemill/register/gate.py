"""The gate: every rule of the family asked about one challenger."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.register.bundle import rollout_digest
from kinemill.register.evidence import Evidence
from kinemill.register.rules import RULES, Approval, Champion, Contest, Measured, Verdict
from kinemill.register.versions import Version, bundle_folder
from kinemill.spec import Task
from kinemill.store import Json
from kinemill.tracking import Tracking

_MUST = ("states", "actions", "dt", "angles")  # or the two cannot be fed the same episodes
ONNX = ("step.onnx", "rollout.onnx")


@dataclass(frozen=True)
class Reigning:
    """Who reigns as far as aliases tell: a version, or the number of one that is gone."""

    tracking: Tracking
    number: int
    version: Version | None


@dataclass(frozen=True)
class Challenger:
    """What is known of a challenger before it is judged: files, papers, a person's word."""

    folder: Path
    verification: Json
    served: tuple[bool, str]
    approval: Approval | None


def judge(contest: Contest) -> list[Verdict]:
    """Return the verdicts of all rules, in the order of their names."""
    return [verdict for name in RULES for verdict in RULES[name](contest)]


def make_contest(
    task: Task, challenger: Challenger, reigning: Reigning | None, evidence: Evidence
) -> Contest:
    """Put a challenger's bundle against the reigning champion; both are measured afresh.

    Args:
        task: its `promote` part says what is asked.
        challenger: the one.
        reigning: the other; None if there never was a champion.
        evidence: where the gate's own numbers come from.
    """
    # What does not answer in a process of its own is not run in this one: it might end it.
    model, measured = _own(challenger.folder, evidence) if challenger.served[0] else (None, None)
    return Contest(
        task,
        challenger.verification,
        champion=_champion(reigning, challenger.folder, model, evidence) if reigning else None,
        measured=measured,
        size=sum((challenger.folder / name).stat().st_size for name in ONNX),
        age=evidence.age(),
        served=challenger.served,
        approval=challenger.approval,
    )


def _own(folder: Path, evidence: Evidence) -> tuple[Any, Measured | None]:
    """Load and measure the challenger; what keeps that from happening, its rules say."""
    from kinemill import runtime

    model = None
    try:
        model = runtime.load(folder, non_finite="pass")
        return model, evidence.measure(model).challenger
    except (CorruptArtifact, BadInput):
        return model, None


def _champion(reigning: Reigning, folder: Path, model: Any, evidence: Evidence) -> Champion:
    """Load and measure the champion; what keeps that from happening is its `problem`."""
    number = reigning.number
    try:
        theirs, champion = _load(reigning)
    except (CorruptArtifact, BadInput) as error:
        problem = f"champion version {number} cannot be loaded: {error}"
        return Champion(number, problem=problem, differs=None)
    if model is None:
        return Champion(number, problem="the challenger does not serve", differs=None)
    differs = tuple(differences(champion.interface, model.interface))
    if rollout_digest(theirs) == rollout_digest(folder):
        return Champion(number, same=True, differs=differs)
    if any(not line.startswith("history ") for line in differs):
        problem = f"cannot be compared: {'; '.join(differs)}"
        return Champion(number, problem=problem, differs=differs)
    try:
        duel = evidence.measure(model, champion)
    except BadInput as error:
        problem = f"champion version {number} cannot be tried: {error}"
        return Champion(number, problem=problem, differs=differs)
    return Champion(number, duel.champion, duel.challenger, duel.interval, differs=differs)


def _load(reigning: Reigning) -> tuple[Path, Any]:
    from kinemill import runtime

    if reigning.version is None:
        where, fix = f"version {reigning.number}", "kinemill promote or rollback names another"
        raise BadInput(where, "was champion, and its alias or itself is gone", fix=fix)
    folder = bundle_folder(reigning.tracking, reigning.version)
    return folder, runtime.load(folder, non_finite="pass")


def differences(champion: Any, challenger: Any) -> list[str]:
    """Return in which ways two interfaces are not the same to whoever runs them."""
    found = [
        f"{name} of the champion {_spell(getattr(champion, name))}, of the challenger "
        f"{_spell(getattr(challenger, name))}"
        for name in (*_MUST, "history")
        if getattr(champion, name) != getattr(challenger, name)
    ]
    for name, unit in champion.units.items():
        other = challenger.units.get(name, unit)
        if other != unit:
            found.append(f"{name} of the champion in {unit}, of the challenger in {other}")
    return found


def _spell(value: tuple[str, ...] | float) -> str:
    return f"[{', '.join(value)}]" if isinstance(value, tuple) else str(value)
