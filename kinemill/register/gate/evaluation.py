"""Evaluation of all rules of the promotion gate for one challenger."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from kinemill import runtime
from kinemill.dataset import dataset_versions
from kinemill.errors import BadInput, CorruptArtifact
from kinemill.register import tags
from kinemill.register.audit_log import APPROVED, Event
from kinemill.register.bundle import model_digest, model_files
from kinemill.register.gate.inputs import (
    MEASUREMENTS,
    Approval,
    Champion,
    Findings,
    GateInputs,
    Loaded,
    Measurements,
)
from kinemill.register.gate.metric import claims
from kinemill.register.gate.rules import enabled_rules
from kinemill.register.gate.sample_size import sample_size_of
from kinemill.register.verdict import Value, Verdict, is_of
from kinemill.register.versions import Version, bundle_folder
from kinemill.runtime import Interface, PolicyInterface
from kinemill.store import ArtifactRef, Home
from kinemill.task import Task

_MUST = ("states", "actions", "dt", "angles")  # equal, or the two cannot run on the same episodes
_POLICY = ("observation", "actions", "dt", "choices", "images", "texts", "mask")


@dataclass(frozen=True)
class Conclusion:
    """Conclusion from the verdicts.

    Attributes:
        decision: `waiting` if only the approval is missing.
        provisional: why a champion is provisional, and what to do; empty if it is not.
    """

    decision: Literal["champion", "waiting", "refused"]
    provisional: str = ""


def evaluate(inputs: GateInputs) -> list[Verdict]:
    """Return the verdicts of all rules, in the order of their names."""
    rules = enabled_rules(inputs.task.promote.rules)
    return [verdict for rule in rules for verdict in rule(inputs)]


def conclude(inputs: GateInputs, verdicts: Sequence[Verdict]) -> Conclusion:
    """Return the conclusion from the verdicts.

    If no failed line shows a harm, only doubts, the challenger becomes provisional champion. An
    established champion is not replaced that way.
    """
    failed = [item for item in verdicts if not item.passed]
    waits = any(item.rule == "approval" for item in failed)
    others = [item for item in failed if item.rule != "approval"]
    established = inputs.champion is not None and not inputs.champion.provisional
    # Undecided rules are acceptable only while there is no established champion to replace.
    if not verdicts or any(not item.undecided for item in others) or (others and established):
        return Conclusion("refused")
    provisional = _provisional(inputs, others) if others else ""
    return Conclusion("waiting" if waits else "champion", provisional)


def _provisional(inputs: GateInputs, doubts: Sequence[Verdict]) -> str:
    """Return the doubts in words, and what would settle them."""
    lacks = sample_size_of(inputs).lacks(inputs)
    details = [item for item in doubts if item.rule != "evidence"]
    # Too few data explain a wide interval.
    details = [item for item in details if not (lacks and is_of("interval", item.rule))]
    reasons = [*lacks, *(f"{item.rule}: {_spell_value(item.value)}" for item in details)]
    advice = list[str]()
    if lacks or any(is_of("interval", item.rule) for item in doubts):
        # New recordings match no name of a list, so that they are for training.
        is_share = isinstance(inputs.task.dataset.test, float)
        advice.append(
            f"record more test episodes{', or' if is_share else ' and'} "
            f"{'give dataset.test a larger share' if is_share else 'name them in dataset.test'}; "
            "if this is all there will be, lower promote.min_test_episodes and "
            "promote.min_independent"
        )
    if any(item.rule == "independent" for item in doubts):
        advice.append("take copies of training rows out of dataset.test")
    if any(is_of("trials", item.rule) for item in doubts):
        advice.append("run trials on the robot and record them: kinemill model trials")
    if any(is_of(rule, item.rule) for item in details for rule in ("no_worse", "beats")):
        advice.append("train longer, or record more logs")
    return f"{', '.join(reasons)}: {'; '.join(advice)}"


def _spell_value(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


def make_gate_inputs(
    initial: GateInputs, folder: Path, current: Version | None, evidence: Measurements
) -> GateInputs:
    """Measure a challenger and the champion, and return the inputs of all rules.

    Args:
        initial: what is known before the measurements, with the result of the stored cases.
        folder: files of the challenger.
        current: the champion.
        evidence: the measurements.
    """
    # Load it only if its stored cases ran in a separate process: it could crash this one.
    model = None
    findings = Findings(problem=initial.served[1])
    if initial.served[0]:
        model, findings = _measure_challenger(folder, evidence)
    references = findings.references
    if initial.task.learn.gives == "policy":
        claimed = claims(initial.task, initial.verification)
        references = {name: pair for name, pair in claimed.items() if name not in findings.absent}
    return replace(
        initial,
        champion=_champion(current, folder, model, evidence) if current else None,
        size=sum((folder / name).stat().st_size for name in model_files(folder)),
        age=evidence.age(),
        overlap=evidence.measure_overlap(),
        **vars(replace(findings, references=references)),
    )


def _measure_challenger(folder: Path, evidence: Measurements) -> tuple[Loaded | None, Findings]:
    """Load and measure the challenger; store an error in `problem`."""
    model = None
    try:
        model = runtime.load(folder, non_finite="pass")
        return model, evidence.measure(model)
    except (CorruptArtifact, BadInput) as error:
        return model, Findings(problem=str(error))


def _champion(
    current: Version, folder: Path, model: Loaded | None, evidence: Measurements
) -> Champion:
    """Load and measure the champion; store an error in its `problem`."""
    number = current.number
    try:
        champion_folder, champion = _load(current)
    except (CorruptArtifact, BadInput) as error:
        problem = f"champion version {number} cannot be loaded: {error}"
        return Champion(number, problem=problem, differs=None)
    if model is None:
        return Champion(number, problem="the challenger does not serve", differs=None)
    differs = tuple(differences(champion.interface, model.interface))
    about = Champion(
        number,
        differs=differs,
        provisional=bool(current.provisional),
        reference=tags.REFERENCE in current.tags,
    )
    if model_digest(champion_folder) == model_digest(folder):
        return replace(about, same=True)
    # Models with other histories can predict the same rows; any other difference prevents that.
    if any(not line.startswith("history ") for line in differs):
        return replace(about, problem=f"cannot be compared: {'; '.join(differs)}")
    try:
        comparison = evidence.compare(model, champion, _dataset_folder(current))
    except BadInput as error:
        return replace(about, problem=f"champion version {number} cannot be measured: {error}")
    return replace(about, **vars(comparison))


def _dataset_folder(version: Version) -> Path | None:
    """Return the folder of the dataset that a version was trained on; None if it is not here."""
    digest = version.tags.get(tags.DATASET)
    versions = dataset_versions(version.home, version.task) if digest else []
    dataset = next((item for item in versions if item.ref.digest == digest), None)
    is_here = dataset is not None and dataset.status(version.home) != "gone"
    return dataset.folder(version.home) if dataset is not None and is_here else None


def _load(current: Version) -> tuple[Path, Loaded]:
    folder = bundle_folder(current.home, current)
    return folder, runtime.load(folder, non_finite="pass")


def differences(
    champion: Interface | PolicyInterface, challenger: Interface | PolicyInterface
) -> list[str]:
    """Return the differences between two interfaces that matter to programs that run them."""
    first, second = (
        interface.layout if isinstance(interface, PolicyInterface) else interface
        for interface in (champion, challenger)
    )
    if type(first) is not type(second):
        kinds = [
            "dynamics model" if isinstance(x, Interface) else "policy" for x in (first, second)
        ]
        return [f"the champion is a {kinds[0]}, the challenger a {kinds[1]}"]
    lines = [
        f"{name} of the champion {_spell(getattr(first, name))}, of the challenger "
        f"{_spell(getattr(second, name))}"
        for name in ((*_MUST, "history") if isinstance(first, Interface) else _POLICY)
        if getattr(first, name) != getattr(second, name)
    ]
    for name, unit in first.units.items():
        second_unit = second.units.get(name, unit)
        if second_unit != unit:
            lines.append(f"{name} of the champion in {unit}, of the challenger in {second_unit}")
    return lines


def _spell(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


def approval_of(version: Version, events: Sequence[Event]) -> Approval | None:
    """Return the last approval of a version in the audit log; an earlier `breaking` one counts."""
    approvals = [e for e in events if e.version == version.number and e.what in APPROVED]
    if not approvals:
        return None
    breaking = any(event.what == "approved as breaking" for event in approvals)
    return Approval(approvals[-1].who, approvals[-1].at, breaking)


def make_measurements(task: Task, home: Home, dataset: ArtifactRef) -> Measurements:
    """Return the measurements for the kind of model that a task learns."""
    return MEASUREMENTS[task.learn.gives](task, home, dataset)
