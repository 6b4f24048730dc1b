"""`kinemill runs start` and `cancel`: start and cancel runs on a kinemill server."""

import os
from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import (
    Output,
    Overrides,
    Presets,
    Resume,
    TaskName,
    logs_path,
    notify,
)
from kinemill.errors import BadInput

RunName = Annotated[
    str, typer.Argument(metavar="RUN", help="Run id or its prefix, from `kinemill runs list`.")
]
_ENDED = {"completed", "failed", "canceled"}


def start(
    task: TaskName,
    logs: Path | None = None,
    overrides: Overrides = None,
    presets: Presets = None,
    owner: str | None = None,
    priority: int = 0,
    resume: Resume = False,
) -> Output:
    """Start a run on the server and return.

    The server is that of `kinemill ui`, or the one at KINEMILL_URL.

    Example: kinemill runs start my_robot --set learn.steps=500

    Args:
        logs: Log or folder in the drop folder; default: all logs.
        owner: Owner of the run; default: you.
        priority: Queue priority; higher runs first.
    """
    from kinemill.cli.rest_client import find_server
    from kinemill.rest_documents import RunDocument
    from kinemill.task import parse_overrides

    server = find_server()
    body = {
        "task": task,
        "overrides": parse_overrides(overrides or []),
        "presets": presets or [],
        "logs": _logs(logs),
        "priority": priority,
        "resume": resume,
        "owner": owner,
    }
    run = server.post("runs", RunDocument, body)
    short = run.id[:8]
    return Output(
        run.model_dump(),
        f"run {short} of {run.task} is queued  {server.page(run.id)}",
        f"follow it: kinemill runs metrics {short} --follow",
        f"end it:    kinemill runs cancel {short}",
    )


def _logs(logs: Path | None) -> str | None:
    """Return the path of logs on the server; local paths work on a server of this home."""
    if logs is None or "KINEMILL_URL" in os.environ:
        return logs and str(logs)
    return str(logs_path(logs, "--logs"))


def cancel(run: RunName) -> Output:
    """Cancel a queued or running run.

    Ends every process of the run.

    Example: kinemill runs cancel 1ee64d1c
    """
    from kinemill.cli.rest_client import find_server
    from kinemill.rest_documents import RunDocument

    server = find_server()
    record = server.get(f"runs/{run}", RunDocument)
    short = record.id[:8]
    if record.status == "canceled":
        notify(f"run {short} was already canceled")
    elif record.status in _ENDED:
        raise BadInput(f"run {short}", f"is {record.status}; there is nothing to cancel")
    else:
        record = server.post(f"runs/{record.id}/cancel", RunDocument)
        if record.status not in _ENDED:
            notify("still running after the cancel request; kinemill runs list shows it")
    return Output(record.model_dump(), f"run {short} of {record.task} is {record.status}")
