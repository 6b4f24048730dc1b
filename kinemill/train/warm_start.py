"""Warm start: the files of a trained model, and a folder of them as the start of a training."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kinemill.errors import BadInput
from kinemill.store import Format, Json, digest, file_digest, read_json
from kinemill.task import OBJECTIVES, Task, WarmStart
from kinemill.train.checkpoint import INDEX

WEIGHTS = "weights.safetensors"
DESCRIPTION = "model.json"
CURVES = "history.json"
FORMAT = Format("trained model", 3)  # 1 had other features and scales; 2 was never written


def described(folder: Path) -> Json:
    """Return the description of a trained model.

    Raises:
        CorruptArtifact: This version cannot read the format.
    """
    return FORMAT.open(folder / DESCRIPTION, read_json(folder / DESCRIPTION))


def start_in(folder: Path) -> WarmStart:
    """Return a warm start from the folder of a published model or of a checkpoint.

    Raises:
        BadInput: The folder holds no trained model.
    """
    if is_checkpoint(folder):  # its index holds the digest of its tensors
        return WarmStart(str(folder), file_digest(folder / INDEX), str(folder))
    names = (WEIGHTS, DESCRIPTION)
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise BadInput(
            f"learn.start_from: {folder}",
            f"has no {missing[0]}",
            expected="the folder of a trained model or of a checkpoint, or models:/TASK@champion",
        )
    content_digest = digest({name: file_digest(folder / name) for name in names})
    return WarmStart(str(folder), content_digest, str(folder))


def is_checkpoint(folder: Path) -> bool:
    """Return whether a folder is a checkpoint of a training."""
    return (folder / INDEX).is_file()


def description_of(task: Task, data: object, dataset_digest: str) -> Json:
    """Return the content of `model.json`, which `load_model` and the export read."""
    about: Json = {
        "task": task.name,
        "dataset": dataset_digest,
        "learn": {**task.part("learn")["learn"], "eval_callback": None},  # may name a local file
        **task.learn.describe(task, data),
    }
    return FORMAT.stamp(about)


def write_trained(folder: Path, description: Json, weights: Mapping[str, Any]) -> None:
    """Write the files of a trained model, which `load_model` reads, into a new or empty folder."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(description, indent=1, allow_nan=False)
    (folder / DESCRIPTION).write_text(f"{text}\n")
    save_file({name: value.cpu().contiguous() for name, value in weights.items()}, folder / WEIGHTS)


def kind_of(description: Json) -> Json:
    """Return the kind of dynamics model of a description.

    Returns:
        `kind`, the type of `learn.model`; `history`, rows; `reference`, the name of the reference
        that was published as this model, or None.
    """
    learn = description["learn"]
    return {
        "kind": learn["model"]["type"],
        "history": description["layout"]["history"],
        "reference": description.get("reference"),
    }


def load_model(folder: Path) -> Any:
    """Rebuild the trained module from its folder, on the CPU, in evaluation mode.

    Returns:
        A `kinemill.train.step.Step`, a `kinemill.train.ensemble.Ensemble`, or a
        `kinemill.train.policy.PolicyModule`.

    Raises:
        CorruptArtifact: This version cannot read the format of the model.
    """
    from safetensors.torch import load_file

    description = described(folder)
    weights = load_file(folder / WEIGHTS)
    learn: Any = OBJECTIVES[description["learn"]["type"]].model_validate(description["learn"])
    module = learn.rebuild(description, weights)
    module.load_state_dict(weights)
    return module.eval()
