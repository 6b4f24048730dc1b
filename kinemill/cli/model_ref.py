"""Model references on the command line: TASK, TASK@alias, TASK:version, or a model folder."""

from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.completion import complete_model

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
