"""Data: reading logs into the store."""

from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.say import Json, TaskName, document, table


def ingest(
    task: TaskName,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Logs or folders of logs; default: the task's drop folder."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Read logs into the store, or say why not; known ones add nothing."""
    from kinemill.home import Home
    from kinemill.ingest import ingest as read_logs
    from kinemill.spec import load_task

    loaded, home = load_task(task), Home.resolve()
    folders = [path.resolve() for path in paths or []] or [None]
    files = [file for folder in folders for file in read_logs(loaded, home, folder).files]
    if as_json:
        document({"files": files})
        return
    table(
        f"logs of {loaded.name}",
        ["file", "outcome", "episodes", "rows", "reasons"],
        [
            [
                file["file"],
                file["outcome"],
                file["episodes"],
                file["rows"],
                "\n".join(f"{r['check']} {r['where']}: {r['found']}" for r in file["reasons"]),
            ]
            for file in files
        ],
    )


COMMANDS = [ingest]
