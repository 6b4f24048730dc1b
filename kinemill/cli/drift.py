"""`kinemill data drift`: compare the champion's errors on new logs with those at training time."""

from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import JsonOption, TaskName, document, logs_path
from kinemill.store.home import Home


def drift(
    task: TaskName,
    logs: Annotated[
        Path | None,
        typer.Option("--logs", help="Log or folder of logs to compare; nothing is stored."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List new episodes with large errors of the champion.

    The errors are compared with those at training time.

    Example: kinemill data drift my_robot --logs path/to/logs
    """
    from kinemill.api.drift import measure_drift
    from kinemill.api.progress import StderrProgress
    from kinemill.cli.recording_tables import drift_table
    from kinemill.task import load_task

    folder = None if logs is None else logs_path(logs, "--logs")
    report = measure_drift(load_task(task), Home.resolve(), folder, StderrProgress())
    if as_json:
        document(report)
    else:
        drift_table(report)
