"""The best reference as the second candidate of a run.

The gate compares a trained model with the references on test episodes. If it refuses the model,
the strongest reference that can be exported is exported, verified and evaluated by the same gate,
so that a run whose training failed still serves. Both become versions, so both decisions are on
record.

The validation split does not decide between the two. It is often the end of recordings that both
were fitted to, where a flexible model has a smaller error than on an unseen recording. The ratio
of errors of the two models of `tasks/double_pendulum.yaml` is 1.59 to 1.97 on such ends, and 0.33
to 1.64 on recordings that were left out (benchmarks/prove_validation.py).
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from kinemill.dataset import load_dataset
from kinemill.register import stage
from kinemill.register.document import CandidateDecision, Selection
from kinemill.register.gate.inputs import Measurements
from kinemill.register.gate.opponents import CHAMPION, why_no_reference
from kinemill.register.gate.paired_rollouts import free_runs
from kinemill.register.gate.rules import is_of
from kinemill.register.stage import Produced, Registration
from kinemill.store import (
    ArtifactRef,
    Json,
    digest,
    file_digest,
    get_or_build,
    read_json,
    to_json_value,
)
from kinemill.store.home import Home
from kinemill.task import NullReporter, Progress, Task

TRAINED = "trained"
_PUBLISHED = 2  # code version of the artifact of a published reference
# Rules whose refusal no other model of the same data would escape.
_NOT_OF_THE_MODEL = ("approval", "evidence", "freshness", "independent", "interface")


@dataclass(frozen=True)
class Candidate:
    """A registered candidate of a run.

    Attributes:
        name: `trained`, or the name of the reference.
        produced: artifacts of the candidate.
        registration: version and decision of the candidate.
    """

    name: str
    produced: Produced
    registration: Registration

    @property
    def is_champion(self) -> bool:
        """Whether the gate made it champion."""
        return self.registration.decision == "champion"


@dataclass(frozen=True)
class Candidates:
    """The versions that a run registered.

    Attributes:
        trained: the trained model.
        reference: the best reference; None if it was not a candidate.
        why: why the reference was or was not a candidate.
    """

    trained: Candidate
    reference: Candidate | None
    why: str

    @property
    def result(self) -> Candidate:
        """The result of the run: the reference if it became champion in this run."""
        reference = self.reference
        if reference is None or not reference.is_champion:
            return self.trained
        # A reference with an older version was champion before this run: the opponent that won.
        newer = reference.registration.version > self.trained.registration.version
        return reference if newer else self.trained

    @property
    def selection(self) -> Selection:
        """The candidates with version and decision of each."""
        every = [self.trained, *([self.reference] if self.reference else [])]
        decisions = [
            CandidateDecision(one.name, one.registration.version, one.registration.decision)
            for one in every
        ]
        return Selection(self.result.name, self.why, decisions)


def register_candidates(
    task: Task,
    home: Home,
    produced: Produced,
    references: ArtifactRef | None,
    *,
    evidence: Measurements | None = None,
    progress: Progress | None = None,
) -> Candidates:
    """Register the trained model, and the best reference if the gate refused the model.

    Args:
        task: task with the rules in its `promote` part.
        home: home with the registry.
        produced: artifacts of the trained model.
        references: see `kinemill.verify.references`; None for policies.
        evidence: measurements for the gate; default: the test split.
        progress: receives a message about the second candidate and the progress of verification.

    Raises:
        Blocked: The files of the reference cannot be exported or run.
    """
    first = stage.run(task, home, produced, evidence=evidence)
    trained = Candidate(TRAINED, produced, first)
    progress = progress or NullReporter()
    failed = failed_of_model(first)
    if references is None or not failed:
        return Candidates(trained, None, _why_none(first))
    if why := why_no_reference(task):
        return Candidates(trained, None, why)
    name = exportable(home, references, produced.dataset)
    if name is None:
        return Candidates(trained, None, "no reference is stable and can be exported")
    why = f"version {first.version}, the trained model, is refused: {', '.join(failed)}"
    progress.log_message(f"{why}; {name} is the next candidate")
    made = _make(task, home, produced, (references, name), progress)
    second = Candidate(name, made, stage.run(task, home, made, evidence=evidence))
    if second.registration.decision == "refused":
        # Both are refused: the trained model is the result of the run, so it gets the alias back.
        stage.return_challenger(task, home, second.registration.version, first.version)
    return Candidates(trained, second, why)


def failed_of_model(registration: Registration) -> list[str]:
    """Return the failed rules that a reference may pass; none unless the gate refused.

    Doubts about the test data do not count, because the reference has the same, and neither do
    comparisons with the champion.
    """
    if registration.decision != "refused":
        return []
    return [
        line.rule
        for line in registration.gate
        if not (line.passed or line.undecided)
        and not any(is_of(rule, line.rule) for rule in _NOT_OF_THE_MODEL)
        and not line.rule.endswith(f"_{CHAMPION}")
    ]


def _why_none(registration: Registration) -> str:
    if registration.decision == "refused":
        failed = [line.rule for line in registration.gate if not line.passed]
        return f"a reference would be refused as well: {', '.join(failed)}"
    return "no reference is better"


def exportable(home: Home, references: ArtifactRef, dataset: ArtifactRef) -> str | None:
    """Return the exportable reference with the smallest validation error that is stable, if any.

    It is stable if no free run of a recorded episode diverges: the gate serves no others.
    """
    from kinemill.verify.references import load_references  # imports torch

    rows = load_dataset(home, dataset)
    members = {
        name: item.stable_member
        for name, item in load_references(home, references).items.items()
        if item.stable_member is not None and item.folder is not None
    }
    ranked = sorted(members, key=lambda name: members[name].nrmse)
    return next(
        (name for name in ranked if not free_runs(members[name].predictor, rows).diverged), None
    )


def _make(
    task: Task,
    home: Home,
    trained: Produced,
    reference: tuple[ArtifactRef, str],
    progress: Progress,
) -> Produced:
    """Publish, export and verify a reference."""
    from kinemill.export import stage as export
    from kinemill.verify import stage

    model = publish_reference(task, home, trained.dataset, *reference)
    onnx_model = export.run(task, home, model, trained.dataset).ref
    verified = stage.run(task, home, onnx_model, model, trained.dataset, progress).ref
    return Produced(verified, onnx_model, model, trained.dataset, trained=trained.model)


def publish_reference(
    task: Task, home: Home, dataset: ArtifactRef, references: ArtifactRef, name: str
) -> ArtifactRef:
    """Publish a reference as a trained model, with its name in the description.

    Raises:
        ValueError: It cannot be exported, see `exportable`.
    """
    from kinemill.train import load_model
    from kinemill.train.summary import ModelSummary
    from kinemill.train.warm_start import DESCRIPTION, WEIGHTS
    from kinemill.verify.references import load_references

    item = load_references(home, references).items[name]
    source = item.folder
    stable = item.stable_member
    if source is None or stable is None:
        raise ValueError(f"{name} cannot be exported")
    digests = {file: file_digest(source / file) for file in (DESCRIPTION, WEIGHTS)}

    def build(folder: Path) -> Json:
        about = {**read_json(source / DESCRIPTION), "reference": name}
        (folder / DESCRIPTION).write_text(json.dumps(about, indent=1, allow_nan=False) + "\n")
        shutil.copyfile(source / WEIGHTS, folder / WEIGHTS)
        summary = ModelSummary(
            reference=name,
            parameters=sum(value.numel() for value in load_model(folder).parameters()),
            monitor="validation/nrmse",
            best=stable.nrmse,
        )
        return to_json_value(summary)

    inputs = {
        "dataset": dataset.digest,
        "references": references.digest,
        "reference": name,
        "files": digest(digests),
        "version": _PUBLISHED,
    }
    return get_or_build(home, "model", task.name, inputs, build).ref
