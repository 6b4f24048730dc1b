"""The bundle: what a robot downloads, and what a person needs to trust it, in one folder.

`step.onnx`, `rollout.onnx` and `io.json` run the model; `verification.json` and `report.html` say
how good it is; `sha256sums` lets anyone check the rest with `sha256sum -c sha256sums`.
"""

import shutil
from pathlib import Path

from kinemill.errors import CorruptArtifact
from kinemill.home import Home
from kinemill.store import Json, Outcome, Ref, file_digest, once, open_ref

VERSION = 1
SUMS = "sha256sums"
MODEL_FILES = ("step.onnx", "rollout.onnx", "io.json")
VERIFICATION_FILES = ("verification.json", "report.html")


def make_bundle(home: Home, task: str, onnx_model: Ref, verification: Ref) -> Outcome:
    """Publish the files of an exported model and of its verification as one folder."""
    model_folder, verification_folder = open_ref(home, onnx_model), open_ref(home, verification)

    def build(folder: Path) -> Json:
        for source, names in (
            (model_folder, MODEL_FILES),
            (verification_folder, VERIFICATION_FILES),
        ):
            for name in names:
                shutil.copyfile(source / name, folder / name)
        (folder / SUMS).write_text(_sums(folder))
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


def _sums(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    return "".join(f"{file_digest(folder / name)}  {name}\n" for name in names)


def read_sums(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file that the bundle in `folder` is made of."""
    lines = (folder / SUMS).read_text().splitlines()
    return {name: sha for sha, name in (line.split("  ", 1) for line in lines)}


def check_bundle(folder: Path, sums: str) -> None:
    """Check a bundle against the digest of its `sha256sums`, and its files against those.

    Raises:
        CorruptArtifact: a file is missing or its bytes have changed.
    """
    path = folder / SUMS
    if not path.is_file() or file_digest(path) != sums:
        raise CorruptArtifact(path, "is missing or differs from what was registered")
    for name, sha in read_sums(folder).items():
        if not (folder / name).is_file() or file_digest(folder / name) != sha:
            raise CorruptArtifact(folder / name, "is missing or its bytes have changed")
