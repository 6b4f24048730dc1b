"""`kinemill new`: draft a task file from the columns of a log."""

from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import Json, document


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

    Shows channels, roles, units, derivatives and ranges with the reason for each, and checks
    the logs with the draft. The JSON schema for editors is written beside the task.

    Example: kinemill new my_robot --from logs/run1.csv
    """
    from kinemill.cli.draft_summary import draft_document, show_draft, warn_of_losses
    from kinemill.draft.builder import build
    from kinemill.draft.own_logs import check_own_logs
    from kinemill.store import publish_file, publish_json
    from kinemill.store.project import tasks_folder
    from kinemill.task.schema import SCHEMA_FILE, task_schema

    target = (to or tasks_folder() / f"{name}.yaml").absolute()
    _refuse(name, target)
    checked = check_own_logs(build(name, log, rate))
    publish_json(target.with_name(SCHEMA_FILE), task_schema())
    header = f"# yaml-language-server: $schema={SCHEMA_FILE}\n"
    publish_file(target, f"{header}{checked.text}".encode())
    if as_json:
        document({"task": name, "file": str(target), **draft_document(checked)})
    else:
        show_draft(checked)
        typer.echo(f"written to {target}; next: kinemill data check {log} --task {to or name}")
    warn_of_losses(checked)


def _refuse(name: str, target: Path) -> None:
    from kinemill.errors import BadInput

    if target.exists():
        fix = "choose another name, or another file with --to"
        raise BadInput(target, "is there already", fix=fix)
    if target.stem != name or target.suffix not in {".yaml", ".yml"}:
        raise BadInput(target, "a task file is called after its task", expected=f"{name}.yaml")
