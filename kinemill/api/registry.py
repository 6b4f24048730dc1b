"""Verify, register, promote and roll back models."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from kinemill.api.html import facts_table
from kinemill.api.models import registered_model
from kinemill.api.progress import Reporter, ShowProgress, reporter
from kinemill.api.training import TaskLike, Training, resolve_task
from kinemill.errors import Blocked
from kinemill.runtime import Policy, Simulator, load
from kinemill.store import ArtifactRef, Home
from kinemill.store.locks import in_use
from kinemill.task.document import Task

if TYPE_CHECKING:
    import polars as pl

    from kinemill.register.champion_change import ChampionChange
    from kinemill.register.document import RunDocument
    from kinemill.register.reference_candidate import Candidates
    from kinemill.verify.bundle import FolderCheck
    from kinemill.verify.checklist import Gate
    from kinemill.verify.document import Verification as Document


@dataclass(frozen=True, eq=False)
class Verification:
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

    def _repr_html_(self) -> str:
        verdict = "verified" if self.passed else "NOT verified"
        lines = {
            f"{'passed' if check.passed else 'FAILED'}: {check.name}": check.value
            for check in self.checks
        }
        return facts_table(f"{self.folder}: {verdict}", {**lines, "report": self.report})


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


@dataclass(frozen=True, eq=False)
class Registered:
    """A registered version and the decision of the gate.

    Attributes:
        task: the task.
        home: home of the registry.
        training: the training of the model.
        verification: verification of the registered model.
        candidates: the trained model, and the best reference if it was better.
    """

    task: Task
    home: Home
    training: Training
    verification: Verification
    candidates: "Candidates"

    @property
    def version(self) -> int:
        """Number of the version."""
        return self.candidates.result.registration.version

    @property
    def address(self) -> str:
        """The version as an argument of other functions and commands, such as `rod:3`."""
        return f"{self.task.name}:{self.version}"

    @property
    def alias(self) -> str | None:
        """`champion`, `challenger` or None."""
        return self.candidates.result.registration.alias

    @property
    def status(self) -> str:
        """`done` if it became champion, `refused`, or `unchanged` after an earlier decision.

        A version that waits for an approval is `refused` too.
        """
        return self.candidates.result.registration.status

    @property
    def headline(self) -> str:
        """One or two sentences about the model and the decision."""
        return self.candidates.result.registration.headline

    @property
    def report(self) -> Path:
        """The report with the decision, an offline HTML page."""
        return self.home.root / self.candidates.result.registration.report

    @property
    def folder(self) -> Path:
        """Folder of the registered model: the trained model, or a better reference."""
        return self.home.root / self.candidates.result.produced.onnx_model.path

    @property
    def model(self) -> Simulator | Policy:
        """The registered model, loaded by the runtime."""
        return load(f"models:/{self.task.name}/{self.version}")

    def to_polars(self) -> "pl.DataFrame":
        """Return the rules of the gate: `rule`, `passed`, `value`, `expected`."""
        import polars as pl

        names = ("rule", "passed", "value", "expected")
        return pl.DataFrame(
            [
                {name: line.to_json()[name] for name in names}
                | {"value": str(line.value), "expected": str(line.expected)}
                for line in self.candidates.result.registration.gate
            ]
        )

    def document(self) -> "RunDocument":
        """Return the document of `kinemill run`."""
        from kinemill.dataset import DatasetSummary
        from kinemill.register.run_summary import RunFacts, run_document
        from kinemill.validate.summary import EpisodesSummary
        from kinemill.verify.document import open_verification

        result = self.candidates.result
        training = self.training
        logs = training.dataset is not None
        episodes = training.dataset and EpisodesSummary.read(self.home, training.dataset.episodes)
        return run_document(
            RunFacts(
                task=self.task.name,
                episodes=episodes,
                dataset=training.data.digest,
                verification=open_verification(self.home, result.produced.verification),
                selection=self.candidates.selection,
                registration=result.registration,
                report=str(self.report),
                warnings=DatasetSummary.read(self.home, training.data).warnings if logs else [],
            )
        )

    def _repr_html_(self) -> str:
        facts = {
            "version": self.address,
            "alias": self.alias,
            "decision": self.status,
            "refused by": [
                line.rule for line in self.candidates.result.registration.gate if not line.passed
            ]
            or None,
            "report": self.report,
        }
        return facts_table(self.headline, facts)


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
    with in_use(training.home, f"register-{uuid4().hex[:8]}"):
        return register_stages(training, reporter(progress))


def register_stages(training: Training, report: Reporter) -> Registered:
    """Run the stages after export: verification, references, registration.

    Raises:
        Blocked: The exported files cannot be run.
    """
    from kinemill.register.reference_candidate import register_candidates
    from kinemill.register.stage import Produced

    task = training.task
    home = training.home
    verification = _verify_training(training, report)
    if verification.artifact is None:
        raise Blocked(task.name, "has no verification")
    produced = Produced(verification.artifact, training.exported, training.trained, training.data)
    references = None
    if task.learn.gives == "dynamics":
        from kinemill.verify.references import stage as references_stage

        references = references_stage.run(task, home, training.data).ref
    candidates = register_candidates(task, home, produced, references, progress=report)
    return Registered(task, home, training, verification, candidates)


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

    address = model.address if isinstance(model, Registered) else model
    home = Home.resolve()
    task, version, _ = registered_model(address, home)
    expected = {} if expect is None else {"expected": expect or None}
    return promotion.promote(task, home, f":{version.number}", force=force, why=why, **expected)


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

    address = model.address if isinstance(model, Registered) else model
    home = Home.resolve()
    task, version, _ = registered_model(address, home)
    return promotion.record_trials(task, home, f":{version.number}", success, of, note=note)


def rollback(task: TaskLike, *, to: int | None = None, why: str = "") -> "ChampionChange":
    """Roll back to the previous champion, or to a version.

    Args:
        task: a task, its name or file.
        to: number of the version; default: the previous champion.
        why: reason, written to the audit log.

    Raises:
        BadInput: There is no previous champion, or no such version.
    """
    from kinemill.register import promotion

    which = f":{to}" if to is not None else ""
    return promotion.rollback(resolve_task(task), Home.resolve(), to=which, why=why)
