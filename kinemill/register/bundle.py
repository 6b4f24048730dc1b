"""The bundle of a version: what a robot downloads, and what a person needs to trust it.

What is in it, `kinemill.export.bundle` says.
"""

from pathlib import Path

from kinemill.export.bundle import assemble
from kinemill.home import Home
from kinemill.runtime.loading import SUMS, read_sums
from kinemill.runtime.pulling import check_bundle
from kinemill.store import Json, Outcome, Ref, file_digest, once, open_ref

__all__ = ["MODEL_FILES", "SUMS", "check_bundle", "make_bundle", "read_sums", "rollout_digest"]

VERSION = 2
MODEL_FILES = ("step.onnx", "rollout.onnx")


def make_bundle(home: Home, task: str, onnx_model: Ref, verification: Ref) -> Outcome:
    """Publish the files of an exported model and of its verification as one folder."""
    model_folder, verification_folder = open_ref(home, onnx_model), open_ref(home, verification)

    def build(folder: Path) -> Json:
        assemble(folder, model_folder, verification_folder)
        return {"onnx": rollout_digest(folder), "sums": file_digest(folder / SUMS)}

    inputs = {
        "onnx_model": onnx_model.digest,
        "verification": verification.digest,
        "version": VERSION,
    }
    return once(home, "bundle", task, inputs, build)


def rollout_digest(folder: Path) -> str:
    """Return the sha256 of a bundle's `rollout.onnx`: the identity of the model itself."""
    return file_digest(folder / "rollout.onnx")
