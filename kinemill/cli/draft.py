"""`kinemill new`: draft a task file from the columns of a log."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from kinemill.cli.output import Json, document

_GUESSED = re.compile(r"  (\w+): \{.*\}  # (.*)\Z")  # a channel's line with a comment


def new(
    name: Annotated[str, typer.Argument(help="Task name: lower case letters, digits and _.")],
    log: Annotated[Path, typer.Option("--from", help="Log file, or folder of logs.")],
    to: Annotated[
        Path | None,
        typer.Option("--to", help="File to write; default: NAME.yaml in the tasks folder."),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", min=1e-6, help="Sampling rate in Hz for logs without timestamps."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Draft a task file from logs.

    Infers channels, roles, units, time step and limits. A comment marks each guess. The JSON
    schema for editors is written beside the task.

    Example: kinemill new my_robot --from logs/run1.csv
    """
    from kinemill.draft.builder import draft
    from kinemill.store import publish_file, publish_json
    from kinemill.store.project import tasks_folder
    from kinemill.task.schema import SCHEMA_FILE, task_schema

    target = (to or tasks_folder() / f"{name}.yaml").absolute()
    _refuse(name, target)
    text = f"# yaml-language-server: $schema={SCHEMA_FILE}\n{draft(name, log, rate)}"
    summary = _read_back(name, text)
    publish_json(target.with_name(SCHEMA_FILE), task_schema())
    publish_file(target, text.encode())
    if as_json:
        document({"task": name, "file": str(target), **summary})
        return
    typer.echo(f"{text}\nwritten to {target}; next: kinemill data check {log} --task {to or name}")


def _refuse(name: str, target: Path) -> None:
    from kinemill.errors import BadInput

    if target.exists():
        fix = "choose another name, or another file with --to"
        raise BadInput(target, "is there already", fix=fix)
    if target.stem != name or target.suffix not in {".yaml", ".yml"}:
        raise BadInput(target, "a task file is called after its task", expected=f"{name}.yaml")


def _read_back(name: str, text: str) -> dict[str, Any]:
    """Load the draft like any task, to check it before it is shown."""
    from kinemill.task import load_task

    with TemporaryDirectory(prefix="kinemill-draft-") as folder:
        path = Path(folder) / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        task = load_task(path)
    guessed = filter(None, map(_GUESSED.match, text.splitlines()))
    return {
        "dt": task.dt,
        "states": task.states,
        "actions": task.actions,
        "guesses": {match[1]: match[2] for match in guessed},
    }
