"""Model references on the command line: TASK, TASK@alias, TASK:version, or a model folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.completion import complete_model
from kinemill.errors import BadInput
from kinemill.task import load_task
from kinemill.task.document import Task

ModelName = Annotated[
    str,
    typer.Argument(
        metavar="TASK[@ALIAS|:VERSION]",
        help="Default: the champion, else the newest version.",
        autocompletion=complete_model,
    ),
]
ModelFolder = Annotated[
    Path | None,
    typer.Option("--model", help="Exported model folder, instead of a registered version."),
]


def named_model(
    model: str, folder: Path | None, changed: Mapping[str, object] | None = None
) -> tuple[str | Path, Task | None]:
    """Return the model of a command line: an address, or a folder with its task.

    Raises:
        BadInput: The task does not exist, or both a version and a folder are set.
    """
    from kinemill.api.models import split_address

    if folder is None:
        return model, None
    task, which = split_address(model)
    if which:
        raise BadInput(model, f"names a version, and --model {folder} another", fix="name one")
    return folder, load_task(task, changed)
