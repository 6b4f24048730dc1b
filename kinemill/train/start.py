"""The files of a trained model, and a folder of them as what a training starts from."""

from pathlib import Path

from kinemill.errors import BadInput
from kinemill.spec.ports import Start
from kinemill.store import digest, file_digest

WEIGHTS, DESCRIPTION = "weights.safetensors", "model.json"


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
