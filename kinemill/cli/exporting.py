"""Exporting: the episodes of a dataset version, in a format that other programs read."""

from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.say import Json, TaskName, document, news


def export_data(
    task: TaskName,
    to: Annotated[str, typer.Option("--to", help="csv, hdf5, lerobot, mcap or parquet.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="A folder that is not there yet; default: in the home."),
    ] = None,
    version: Annotated[
        str, typer.Option("--version", help="Number, start of a digest, or latest.")
    ] = "latest",
    as_json: Json = False,
) -> None:
    """Write the episodes of a dataset version to a folder, with a task file that reads them."""
    from kinemill.dataset.exporting import export_data as write
    from kinemill.home import Home
    from kinemill.spec import load_task

    found = write(load_task(task), Home.resolve(), to, out.resolve() if out else None, version)
    if as_json:
        document(found)
        return
    counts = ", ".join(f"{number} {split}" for split, number in found["episodes"].items())
    typer.echo(
        f"{found['task']}/v{found['version']} as {found['format']}: {counts} episodes, "
        f"{found['rows']} rows, {found['files']} files in {found['folder']}"
    )
    if "left_out" in found:
        news(f"left out, as {to} cannot hold them here: {', '.join(found['left_out'])}; hdf5 can")


COMMANDS = [export_data]
