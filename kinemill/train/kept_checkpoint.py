"""A kept checkpoint as a trained model, which can be evaluated, exported, or started from."""

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from kinemill.errors import BadInput
from kinemill.store import Artifact, Json, get_or_build, read_json
from kinemill.store.home import Home
from kinemill.train.checkpoint import INDEX, checkpoints, open_checkpoint, step_of
from kinemill.train.warm_start import DESCRIPTION, WEIGHTS, described, start_in

RETURN = "evaluation/return"  # of a policy that learns in an environment


@dataclass(frozen=True)
class KeptCheckpoint:
    """A checkpoint in the home.

    Attributes:
        folder: its folder.
        step: training step.
        monitor: name of the validation error, or of the return in the environment.
        value: its last value up to this step; None without one.
    """

    folder: str
    step: int
    monitor: str
    value: float | None


def publish_checkpoint(home: Home, checkpoint: Path) -> Artifact:
    """Publish the weights of a checkpoint, averaged with `learn.ema`, as a trained model.

    Raises:
        BadInput: Its training selected the model itself.
        CorruptArtifact: The checkpoint is damaged.
    """
    if not (checkpoint.parent / DESCRIPTION).is_file():
        raise BadInput(
            checkpoint,
            f"the folder of its training has no {DESCRIPTION}",
            expected="a checkpoint of a training with learn.model",
        )
    task = described(checkpoint.parent)["task"]

    def build(folder: Path) -> Json:
        from safetensors.torch import save_file

        groups, state = open_checkpoint(checkpoint)
        save_file({**groups["weights"], **groups.get("average", {})}, folder / WEIGHTS)
        shutil.copyfile(checkpoint.parent / DESCRIPTION, folder / DESCRIPTION)
        return {"checkpoint": str(checkpoint), "step": state["step"]}

    key = {"checkpoint": start_in(checkpoint).digest}
    return get_or_build(home, "checkpoint", task, key, build)


def list_checkpoints(home: Home, task: str) -> list[KeptCheckpoint]:
    """Return the kept checkpoints of a task: smallest error, or largest return, first."""
    entries = [
        _entry(checkpoint)
        for training in (home.runs / task).glob("*/")
        for checkpoint in checkpoints(training)
        if (checkpoint / INDEX).is_file()
    ]

    def key(entry: KeptCheckpoint) -> tuple[str, float]:
        sign = -1.0 if entry.monitor == RETURN else 1.0
        return entry.monitor, math.inf if entry.value is None else sign * entry.value

    return sorted(entries, key=key)


def _entry(checkpoint: Path) -> KeptCheckpoint:
    curves: Json = read_json(checkpoint / INDEX)["state"]["history"]
    named = (name for name in curves if name.startswith("validation/") or name == RETURN)
    monitor = next(named, "")
    values = [value for _, value in curves.get(monitor, [])]
    return KeptCheckpoint(
        str(checkpoint), step_of(checkpoint), monitor, values[-1] if values else None
    )
