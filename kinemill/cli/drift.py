"""`kinemill data drift`: compare the champion's errors on new logs with those at training time."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from kinemill.cli.output import JsonOption, TaskName, document, logs_path
from kinemill.errors import BadInput
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
    from kinemill.api.progress import StderrProgress
    from kinemill.cli.recording_tables import drift_table
    from kinemill.ingest import stage as ingest
    from kinemill.ingest.membership import members
    from kinemill.register.champion import load_champion
    from kinemill.task import load_task
    from kinemill.validate import stage as validate
    from kinemill.validate.drift import find_drift

    loaded = load_task(task)
    home = Home.resolve()
    if logs is None and not members(home, loaded.name):
        fix = f"kinemill data ingest {loaded.name}; or name logs with --logs"
        raise BadInput(loaded.name, "has no recording yet", fix=fix)
    progress = StderrProgress()
    with TemporaryDirectory(prefix="kinemill-drift-") as scratch:
        source = Path(scratch)
        new = home
        if logs is not None:  # read into a temporary home
            source = logs_path(logs, "--logs")
            new = Home(Path(scratch))
        recordings = ingest.run(loaded, new, source, progress).artifact.ref
        episodes = validate.run(loaded, new, recordings, progress).ref
        report = find_drift(
            loaded, new, episodes, lambda: load_champion(home, loaded.name), progress
        )
    document(report) if as_json else drift_table(report)
