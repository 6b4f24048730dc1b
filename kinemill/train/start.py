"""The files of a trained model, and a folder of them as what a training starts from."""

from pathlib import Path
from typing import Any, cast

from kinemill.dataset import PackedDataset
from kinemill.errors import BadInput
from kinemill.formats import Format
from kinemill.spec.ports import Start
from kinemill.spec.task import Task
from kinemill.store import Json, digest, file_digest, read_json

WEIGHTS, DESCRIPTION, CURVES = "weights.safetensors", "model.json", "history.json"
FORMAT = Format("trained model", 3)  # 1 saw and scaled other features; 2 was never written


def described(folder: Path) -> Json:
    """Return what a trained model says of itself.

    Raises:
        CorruptArtifact: it was written by a version whose models this one cannot read.
    """
    return FORMAT.open(folder / DESCRIPTION, read_json(folder / DESCRIPTION))


def start_in(folder: Path) -> Start:
    """Return the model in a folder as published by the stage `model`.

    Raises:
        BadInput: there is no trained model in it.
    """
    names = (WEIGHTS, DESCRIPTION)
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise BadInput(
            f"learn.start_from: {folder}",
            f"has no {missing[0]}",
            expected="the folder of a trained model, or models:/TASK@champion",
        )
    found = digest({name: file_digest(folder / name) for name in names})
    return Start(str(folder), found, str(folder))


def description_of(
    task: Task, data: tuple[PackedDataset, PackedDataset], dataset_digest: str
) -> Json:
    """Return what `load_model` needs beside the weights, and what an exported model says."""
    from kinemill.train.layout import layout_of

    dataset, learn = data[0], cast(Any, task.learn)
    about: Json = {
        "task": task.name,
        "dataset": dataset_digest,
        "units": {name: task.channels[name].unit for name in task.columns},
        "limits": {name: task.channels[name].limits for name in task.columns},
        "train_std": dict(zip(dataset.columns, dataset.std.tolist(), strict=True)),
        "learn": {**task.part("learn")["learn"], "evaluate_with": None},  # may name a local file
        "layout": layout_of(task).to_json(),
        "robots": list(learn.robots_in(data[1])),
    }
    return FORMAT.stamp(about)


def load_model(folder: Path) -> Any:
    """Rebuild the trained step from its folder, on the CPU, in evaluation mode.

    Returns:
        A `kinemill.train.step.Step`, or a `kinemill.train.ensemble.Ensemble` of some.
    """
    from safetensors.torch import load_file

    from kinemill.spec.plugins import OBJECTIVES
    from kinemill.train.assembling import assemble, scale_in
    from kinemill.train.layout import Layout

    description = described(folder)
    layout = Layout.from_json(description["layout"])
    learn = OBJECTIVES[description["learn"]["type"]].model_validate(description["learn"])
    weights = load_file(folder / WEIGHTS)
    module = assemble(learn, layout, scale_in(weights), len(description["robots"]))
    module.load_state_dict(weights)
    return module.eval()
