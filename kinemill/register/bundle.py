"""The bundle of a version: the files that a robot downloads, and their verification.

`kinemill.export.bundle` defines the content.
"""

from pathlib import Path

from kinemill.runtime.integrity import POLICY, SUMS
from kinemill.store import Artifact, ArtifactRef, Home, Json, file_digest, get_or_build, open_ref

VERSION = 2
MODEL_FILES = ("step.onnx", "rollout.onnx")  # the last one is the model's identity


def make_bundle(
    home: Home, task: str, onnx_model: ArtifactRef, verification: ArtifactRef
) -> Artifact:
    """Publish the files of an exported model and of its verification as one folder."""
    from kinemill.export.bundle import assemble  # imports polars

    model_folder = open_ref(home, onnx_model)
    verification_folder = open_ref(home, verification)

    def build(folder: Path) -> Json:
        assemble(folder, model_folder, verification_folder)
        return {"onnx": model_digest(folder), "sums": file_digest(folder / SUMS)}

    inputs = {
        "onnx_model": onnx_model.digest,
        "verification": verification.digest,
        "version": VERSION,
    }
    return get_or_build(home, "bundle", task, inputs, build)


def model_files(folder: Path) -> tuple[str, ...]:
    """Return the names of the ONNX files: one for a policy, two for a dynamics model."""
    return (POLICY,) if (folder / POLICY).is_file() else MODEL_FILES


def model_digest(folder: Path) -> str:
    """Return the sha256 of `rollout.onnx` or `policy.onnx`, which identifies the model."""
    return file_digest(folder / model_files(folder)[-1])
