"""Verify, register, promote and roll back models."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from kinemill.api.arguments import require
from kinemill.api.html import Summarized
from kinemill.api.models import address_of
from kinemill.api.progress import Reporter, ShowProgress, reporter
from kinemill.api.training import TaskLike, Training, resolve_task
from kinemill.errors import Blocked
from kinemill.runtime import Policy, Simulator, load
from kinemill.store import Artifact, ArtifactRef, Home, summary_of
from kinemill.store.locks import in_use
from kinemill.task.document import Task

if TYPE_CHECKING:
    import polars as pl

    from kinemill.register.champion_change import ChampionChange
    from kinemill.register.stage import Registration
    from kinemill.task.portfolio import Selection
    from kinemill.verify.bundle import FolderCheck
    from kinemill.verify.checklist import Gate
    from kinemill.verify.document import Verification as Document


@dataclass(frozen=True, eq=False, repr=False)
class Verification(Summarized):
    """Checks of an exported model.

    Attributes:
        folder: folder of the model.
        document: all results: `verification.json` of a training, or the checks of a folder.
        report: report, an offline HTML page; None for a folder.
        artifact: artifact of the verification; None for a folder.
    """

    folder: Path
    document: "Document | FolderCheck"
    report: Path | None = None
    artifact: ArtifactRef | None = None

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return bool(self.document.passed)

    @property
    def checks(self) -> "list[Gate]":
        """The checks: name, whether it passed, result and condition."""
        return self.document.gates

    def to_polars(self) -> "pl.DataFrame":
        """Return the checks: `name`, `passed`, `value`, `expected`."""
        import polars as pl

        names = ("name", "passed", "value", "expected")
        return pl.DataFrame(
            [{name: getattr(check, name) for name in names} for check in self.checks]
        )

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        verdict = "verified" if self.passed else "NOT verified"
        lines = {
            f"{'passed' if check.passed else 'FAILED'}: {check.name}": check.value
            for check in self.checks
        }
        return f"{self.folder}: {verdict}", {**lines, "report": self.report}


def verify(model: Training | str | Path, *, progress: ShowProgress = True) -> Verification:
    """Verify the exported model of a training with test data, or of a folder without data.

    Args:
        model: a training, or the folder of an exported model.
        progress: whether to show messages; or a callback, see `Update`.

    Raises:
        BadInput: The folder holds no model, or an unsafe one.
        Blocked: The files cannot be run.
    """
    if isinstance(model, Training):
        return _verify_training(model, reporter(progress))
    from kinemill.verify.bundle import verify_folder

    folder = Path(model).expanduser()
    return Verification(folder, verify_folder(folder))


def _verify_training(training: Training, report: Reporter) -> Verification:
    from kinemill.verify import stage
    from kinemill.verify.document import open_verification

    home = training.home
    refs = training.exported, training.trained, training.data
    artifact = stage.run(training.task, home, *refs, report)
    document = open_verification(home, artifact.ref)
    page = home.root / artifact.ref.path / "report.html"
    return Verification(training.folder, document, page, artifact.ref)


@dataclass(frozen=True, eq=False, repr=False)
class Registered(Summarized):
    """A registered version and the decision of the gate.

    Attributes:
        task: the task.
        home: home of the registry.
        training: the training of the model.
        verification: verification of the registered model.
        registration: version and decision.
        selection: the candidates; None for a policy.
    """

    task: Task
    home: Home
    training: Training
    verification: Verification
    registration: "Registration"
    selection: "Selection | None" = None

    @property
    def version(self) -> int:
        """Number of the version."""
        return self.registration.version

    @property
    def address(self) -> str:
        """The version as an argument of other functions and commands, such as `rod:3`."""
        return f"{self.task.name}:{self.version}"

    @property
    def alias(self) -> str | None:
        """`champion`, `challenger` or None."""
        return self.registration.alias

    @property
    def status(self) -> str:
        """`done` if it became champion, `refused`, or `unchanged` after an earlier decision.

        A version that waits for an approval is `refused` too.
        """
        return self.registration.status

    @property
    def headline(self) -> str:
        """One or two sentences about the model and the decision."""
        return self.registration.headline

    @property
    def report(self) -> Path:
        """The report with the decision, an offline HTML page."""
        return self.home.root / self.registration.report

    @property
    def folder(self) -> Path:
        """Folder of the registered model."""
        return self.training.folder

    @property
    def model(self) -> Simulator | Policy:
        """The registered model, loaded by the runtime."""
        return load(f"models:/{self.task.name}/{self.version}")

    def to_polars(self) -> "pl.DataFrame":
        """Return the rules of the gate: `rule`, `passed`, `value`, `expected`."""
        import polars as pl

        return pl.DataFrame(
            [
                {
                    "rule": line.rule,
                    "passed": line.passed,
                    "value": str(line.value),
                    "expected": str(line.expected),
                }
                for line in self.registration.gate
            ]
        )

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        facts = {
            "version": self.address,
            "alias": self.alias,
            "decision": self.status,
            "provisional": self.registration.provisional or None,
            "refused by": [line.rule for line in self.registration.gate if not line.passed]
            if self.status == "refused"
            else None,
            "report": self.report,
        }
        return self.headline, facts


def register(training: Training, *, progress: ShowProgress = True) -> Registered:
    """Verify a training, register it as a version, and run the promotion gate.

    A version with an earlier decision is returned unchanged.

    Args:
        training: result of `train`.
        progress: whether to show progress; or a callback, see `Update`.

    Raises:
        BadInput: The home is being restored.
        Blocked: The exported files cannot be run.
    """
    require("training", training, Training, "a result of train")
    with in_use(training.home, f"register-{uuid4().hex[:8]}"):
        return register_stages(training, reporter(progress))


def register_stages(training: Training, report: Reporter) -> Registered:
    """Select the trained model or a reference that is better, verify and register it.

    Raises:
        Blocked: The exported files cannot be run.
    """
    from kinemill.register import stage

    task, home = training.task, training.home
    selection = None
    if task.learn.gives == "dynamics":
        training, selection = _select(training, report)
    verification = _verify_training(training, report)
    if verification.artifact is None:
        raise Blocked(task.name, "has no verification")
    refs = verification.artifact, training.exported, training.trained, training.data
    registration = stage.run(task, home, stage.Produced(*refs))
    return Registered(task, home, training, verification, registration, selection)


def _select(training: Training, report: Reporter) -> "tuple[Training, Selection]":
    """Return the training, or the reference that is better in its place, and the selection."""
    from kinemill.export import stage as export
    from kinemill.selection.references import stage as references_stage
    from kinemill.selection.selected_model import select_model
    from kinemill.train.summary import ModelSummary

    task, home, data = training.task, training.home, training.data
    references = references_stage.run(task, home, data).ref
    trained = Artifact(training.trained, summary_of(home, training.trained), training.cached)
    selected, selection = select_model(task, home, trained, data, references, report)
    if selected is trained:
        return training, selection
    exported = export.run(task, home, selected.ref, data).ref
    about = ModelSummary.of(selected)
    return replace(training, trained=selected.ref, exported=exported, summary=about), selection


def promote(
    model: Registered | str, *, force: bool = False, why: str = "", expect: int | None = None
) -> "ChampionChange":
    """Make a registered version champion.

    Args:
        model: a registered version, or TASK:3 or TASK@challenger.
        force: whether to override a refusal of the gate; requires `why`.
        why: reason, written to the audit log.
        expect: expected number of the current champion, else an error; 0: none.

    Raises:
        BadInput: There is no such version, it was refused, or it is champion.
        ChampionChanged: The champion changed meanwhile.
    """
    from kinemill.register import promotion

    task, which = _address(model)
    home = Home.resolve()
    return promotion.promote(task, home, which, force=force, why=why, **_expected(expect))


def record_trials(
    model: Registered | str, *, success: int, of: int, note: str = ""
) -> "ChampionChange":
    """Record counted trials of a version on a robot, and run the gate again.

    Args:
        model: a registered version, or TASK:3 or TASK@challenger.
        success: number of successful trials.
        of: number of trials; of several records of a version, the last one counts.
        note: text for the audit log.

    Raises:
        BadInput: There is no such version, or the counts are impossible.
    """
    from kinemill.register import promotion

    task, which = _address(model)
    return promotion.record_trials(task, Home.resolve(), which, success, of, note=note)


def rollback(
    task: TaskLike, *, to: int | None = None, why: str = "", expect: int | None = None
) -> "ChampionChange":
    """Roll back to the previous champion, or to a version.

    Args:
        task: a task, its name or file.
        to: number of the version; default: the previous champion.
        why: reason, written to the audit log.
        expect: as in `promote`.

    Raises:
        BadInput: There is no previous champion, or no such version.
        ChampionChanged: The champion changed meanwhile.
    """
    from kinemill.register import promotion

    which = f":{to}" if to is not None else ""
    resolved = resolve_task(task)
    return promotion.rollback(resolved, Home.resolve(), to=which, why=why, **_expected(expect))


def _address(model: Registered | str) -> tuple[Task, str]:
    return address_of(model.address if isinstance(model, Registered) else model)


def _expected(expect: int | None) -> dict[str, int | None]:
    """Return the expected champion as the registry takes it: None is no champion."""
    return {} if expect is None else {"expected": expect or None}
