"""`kinemill data view`: plot a recording or an episode on an offline HTML page."""

from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import Output, TaskName
from kinemill.store import Home, publish_file


def view(
    task: TaskName,
    which: Annotated[str, typer.Argument(metavar="EPISODE|RECORDING")],
    out: Path | None = None,
) -> Output:
    """Plot a recording on an HTML page.

    Shows every channel over time with the findings of the checks.

    Example: kinemill data view my_robot run1.csv

    Args:
        which: Episode id, content hash or recording name.
        out: File to write; default: a name in this folder.
    """
    from kinemill.api.recordings import draw_recording, read_recording
    from kinemill.task import load_task

    loaded = load_task(task)
    home = Home.resolve()
    recording = read_recording(loaded, home, which)
    number = _episode(which, recording.hash)
    suffix = "" if number is None else f"-{number:04d}"
    target = (out or Path(f"{loaded.name}-{recording.hash[:16]}{suffix}.html")).absolute()
    publish_file(target, draw_recording(loaded, home, recording, number).encode())
    return Output(
        {"task": loaded.name, "recording": recording.hash, "episode": number, "file": str(target)},
        f"{recording.name} is plotted in {target}",
    )


def _episode(which: str, hash_: str) -> int | None:
    """Return the number at the end of an episode's id, or None for a recording."""
    start, _, number = which.rpartition("-")
    return int(number) if start and hash_.startswith(start) and number.isdigit() else None
