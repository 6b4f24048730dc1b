"""`kinemill init`: create a project folder."""

from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import JsonOption, document, notify


def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the project; it may exist.")],
    example: Annotated[
        str | None, typer.Option("--example", help="Example task to copy, such as cart_pole.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Create a project folder, or the missing files of one.

    Existing files do not change. Run it again after git clone: it writes .env with the folder of
    Dagster on this machine.

    Example: kinemill init my_mill --example cart_pole
    """
    from kinemill.api.project import project

    scaffold = project("pipelines.project_files").make_project(folder, example)
    if as_json:
        document({"project": str(scaffold.root), "created": scaffold.created})
        return
    for name in scaffold.created:
        typer.echo(f"created {name}")
    notify(*scaffold.notes)
    if scaffold.root == Path.cwd():
        typer.echo("the project is complete; next: kinemill new, kinemill run, kinemill ui")
    else:
        typer.echo(f"next: cd {folder}, then kinemill new, kinemill run, kinemill ui")
