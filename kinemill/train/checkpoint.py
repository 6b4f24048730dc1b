"""Checkpoints: tensors in safetensors, the rest in JSON, published atomically, hash-checked.

`checkpoint.json` names the tensor file and its sha256 and is written last; a crash in between
leaves the previous pair in force.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kinemill.errors import CorruptArtifact
from kinemill.store import file_digest, publish_file, publish_json, read_json

INDEX = "checkpoint.json"


def write_checkpoint(
    folder: Path,
    module: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    best: dict[str, Tensor],
    state: dict[str, Any],
) -> None:
    """Publish weights, best weights, optimizer and loop state; then drop the older tensors."""
    from safetensors.torch import save

    moments = optimizer.state_dict()["state"]
    tensors = {f"weights.{name}": value for name, value in module.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    for index, entry in moments.items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in entry.items()}
    path = folder / f"checkpoint-{state['step']:09d}.safetensors"
    publish_file(path, save({name: value.contiguous() for name, value in tensors.items()}))
    publish_json(
        folder / INDEX,
        {
            "tensors": path.name,
            "sha256": file_digest(path),
            "state": {**state, "best": _or_none(state)},
        },
    )
    for old in folder.glob("checkpoint-*.safetensors"):
        if old.name != path.name:
            old.unlink()


def _or_none(state: dict[str, Any]) -> float | None:
    # JSON has no infinity: None stands for "nothing evaluated yet".
    return state["best"] if state["best"] != float("inf") else None


def read_checkpoint(
    folder: Path, module: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """Load the checkpoint in `folder` into module and optimizer; None if there is none.

    Returns:
        The loop state and the best weights so far.

    Raises:
        CorruptArtifact: the tensors are not those that were published.
    """
    from safetensors.torch import load_file

    if not (folder / INDEX).is_file():
        return None
    index = read_json(folder / INDEX)
    path = folder / index["tensors"]
    if not path.is_file() or file_digest(path) != index["sha256"]:
        raise CorruptArtifact(
            path, "is missing or its bytes have changed", fix=f"delete {folder} to start afresh"
        )
    groups: dict[str, dict[str, Tensor]] = {"weights": {}, "best": {}, "optimizer": {}}
    for name, value in load_file(path).items():
        group, _, inner = name.partition(".")
        groups[group][inner] = value
    module.load_state_dict(groups["weights"])
    _restore(optimizer, groups["optimizer"])
    state = index["state"]
    state["best"] = float("inf") if state["best"] is None else state["best"]
    device = next(module.parameters()).device
    return state, {name: value.to(device) for name, value in groups["best"].items()}


def _restore(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    whole = optimizer.state_dict()
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, _, key = name.partition(".")
        moments.setdefault(int(index), {})[key] = value
    whole["state"] = moments
    optimizer.load_state_dict(whole)
