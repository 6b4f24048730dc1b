"""What the stage and the verification process tell each other."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinemill.store import ArtifactRef
from kinemill.verify.document import VerificationSummary


@dataclass(frozen=True)
class Job:
    """Inputs of the verification process.

    Attributes:
        parent: id of the process that started it; it exits with its parent.
        home: folder of the home.
        folder: folder of the artifact in staging.
        result: path for the summary or the error.
        task: the task file as JSON.
        onnx_model, model, dataset: the artifacts.
        references: artifact with the references; None for policies.
    """

    parent: int
    home: Path
    folder: Path
    result: Path
    task: dict[str, Any]
    onnx_model: ArtifactRef
    model: ArtifactRef
    dataset: ArtifactRef
    references: ArtifactRef | None


@dataclass(frozen=True)
class JobError:
    """Why nothing could be verified: the fields of a `Blocked`."""

    where: str
    problem: str
    expected: str | None
    fix: str | None


@dataclass(frozen=True)
class JobResult:
    """Result of the verification process: the summary, or the error."""

    summary: VerificationSummary | None
    error: JobError | None = None
