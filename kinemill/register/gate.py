"""Promotion gate: evaluate every gate rule for one challenger."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.register import tags
from kinemill.register.bundle import model_digest, model_files
from kinemill.register.measurements import Findings, Measurements
from kinemill.register.policies import claims
from kinemill.register.rules import RULES, Approval, Champion, GateInputs, Verdict
from kinemill.register.test_size import amount_of
from kinemill.register.versions import Version, bundle_folder
from kinemill.runtime import PolicyInterface
from kinemill.store import Json
from kinemill.task import Task
from kinemill.tracking import Tracking

_MUST = ("states", "actions", "dt", "angles")  # or the two cannot be fed the same episodes
_POLICY = ("observation", "actions", "dt", "choices", "images", "texts", "mask")


@dataclass(frozen=True)
class CurrentChampion:
    """Who reigns as far as aliases tell: a version, or the number of one that is gone."""

    tracking: Tracking
    number: int
    version: Version | None

    @property
    def is_provisional(self) -> bool:
        """Whether there was too little test data when it became champion."""
        return self.version is not None and bool(self.version.provisional)

    @property
    def is_reference(self) -> bool:
        """Whether it is a reference instead of a trained model."""
        return self.version is not None and tags.REFERENCE in self.version.tags


@dataclass(frozen=True)
class Challenger:
    """What is known of a challenger before it is judged: files, papers, a person's word."""

    folder: Path
    verification: Json
    served: tuple[bool, str]
    approval: Approval | None


@dataclass(frozen=True)
class Conclusion:
    """What follows from the verdicts.

    Attributes:
        decision: `waiting` if nothing but a person's approval is missing.
        provisional: why a champion is one for the time being, and what to do; empty if it is not.
    """

    decision: Literal["champion", "waiting", "refused"]
    provisional: str = ""


def judge(contest: GateInputs) -> list[Verdict]:
    """Return the verdicts of all rules, in the order of their names."""
    return [verdict for name in RULES for verdict in RULES[name](contest)]


def conclude(contest: GateInputs, verdicts: Sequence[Verdict]) -> Conclusion:
    """Return what follows from the verdicts.

    Where nothing fails but lines for which there is too little test data, the challenger becomes
    champion provisionally, unless that would replace an established champion.
    """
    failed = [item for item in verdicts if not item.passed]
    waits = any(item.rule == "approval" for item in failed)
    left = [item for item in failed if item.rule != "approval"]
    established = contest.champion is not None and not contest.champion.provisional
    if not verdicts or any(not item.undecided for item in left) or (left and established):
        return Conclusion("refused")
    provisional = _provisional(contest, left) if left else ""
    return Conclusion("waiting" if waits else "champion", provisional)


def _provisional(contest: GateInputs, undecided: Sequence[Verdict]) -> str:
    lacks = amount_of(contest).lacks(contest) or [
        f"{item.rule}: {item.found}" for item in undecided
    ]
    return (
        f"{', '.join(lacks)}: record more test episodes, or give dataset.test a larger share; if "
        "this is all there will be, lower promote.min_test_episodes and promote.min_independent"
    )


def make_contest(
    task: Task, challenger: Challenger, reigning: CurrentChampion | None, evidence: Measurements
) -> GateInputs:
    """Put a challenger's bundle against the reigning champion; both are measured afresh.

    Args:
        task: its `promote` part says what is asked.
        challenger: the one.
        reigning: the other; None if there never was a champion.
        evidence: where the gate's own numbers come from.
    """
    folder = challenger.folder
    # What does not answer in a process of its own is not run in this one: it might end it.
    model, found = None, Findings(problem=challenger.served[1])
    if challenger.served[0]:
        model, found = _own(folder, evidence)
    claimed = task.learn.gives == "policy"
    return GateInputs(
        task,
        challenger.verification,
        champion=_champion(reigning, folder, model, evidence) if reigning else None,
        measured=found.measured,
        references=claims(task, challenger.verification) if claimed else found.references,
        absent=found.absent,
        problem=found.problem,
        size=sum((folder / name).stat().st_size for name in model_files(folder)),
        age=evidence.age(),
        served=challenger.served,
        approval=challenger.approval,
        repeated=evidence.repeated(),
    )


def _own(folder: Path, evidence: Measurements) -> tuple[Any, Findings]:
    """Load and measure the challenger; what keeps that from happening is the `problem`."""
    from kinemill import runtime

    model = None
    try:
        model = runtime.load(folder, non_finite="pass")
        return model, evidence.measure(model)
    except (CorruptArtifact, BadInput) as error:
        return model, Findings(problem=str(error))


def _champion(
    reigning: CurrentChampion, folder: Path, model: Any, evidence: Measurements
) -> Champion:
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
    about = Champion(
        number,
        differs=differs,
        provisional=reigning.is_provisional,
        reference=reigning.is_reference,
    )
    if model_digest(theirs) == model_digest(folder):
        return replace(about, same=True)
    if any(not line.startswith("history ") for line in differs):
        return replace(about, problem=f"cannot be compared: {'; '.join(differs)}")
    try:
        duel = evidence.compare(model, champion)
    except BadInput as error:
        return replace(about, problem=f"champion version {number} cannot be tried: {error}")
    return replace(about, measured=duel.champion, rival=duel.challenger, paired=duel.paired)


def _load(reigning: CurrentChampion) -> tuple[Path, Any]:
    from kinemill import runtime

    if reigning.version is None:
        where, fix = f"version {reigning.number}", "kinemill promote or rollback names another"
        raise BadInput(where, "was champion, and its alias or itself is gone", fix=fix)
    folder = bundle_folder(reigning.tracking.home, reigning.version)
    return folder, runtime.load(folder, non_finite="pass")


def differences(champion: Any, challenger: Any) -> list[str]:
    """Return in which ways two interfaces are not the same to whoever runs them."""
    acts = [isinstance(one, PolicyInterface) for one in (champion, challenger)]
    if acts[0] != acts[1]:
        kinds = ["a policy" if one else "a model of dynamics" for one in acts]
        return [f"the champion is {kinds[0]}, the challenger {kinds[1]}"]
    one, two = (x.layout for x in (champion, challenger)) if acts[0] else (champion, challenger)
    found = [
        f"{name} of the champion {_spell(getattr(one, name))}, of the challenger "
        f"{_spell(getattr(two, name))}"
        for name in (_POLICY if acts[0] else (*_MUST, "history"))
        if getattr(one, name) != getattr(two, name)
    ]
    for name, unit in one.units.items():
        other = two.units.get(name, unit)
        if other != unit:
            found.append(f"{name} of the champion in {unit}, of the challenger in {other}")
    return found


def _spell(value: Any) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)
