"""`kinemill data view`: plot a recording or an episode on an offline HTML page."""

from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import Output, TaskName
from kinemill.errors import BadInput
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
    from kinemill.ingest.decisions import current_decisions
    from kinemill.ingest.edit_recording import edit_rows
    from kinemill.ingest.inspection import as_recording, find_member, read_before
    from kinemill.task import load_task
    from kinemill.validate.recording_page import view as draw

    loaded = load_task(task)
    home = Home.resolve()
    member = find_member(loaded, home, which)
    read = read_before(loaded, home, member)
    if read is None:
        problem = "was not processed with the current rules of the task"
        raise BadInput(member.name, problem, fix=f"kinemill data reprocess {loaded.name}")
    made = current_decisions(home, loaded.name).get(member.hash)
    released = bool(made and made.decision == "release")
    recording = as_recording(home, member, read, released=released)
    number = _episode(which, member.hash)
    suffix = "" if number is None else f"-{number:04d}"
    target = (out or Path(f"{loaded.name}-{member.hash[:16]}{suffix}.html")).absolute()
    edits = [row for row in edit_rows(loaded, home, member.hash) if row.undone is None]
    publish_file(target, draw(loaded, recording, number, edits).encode())
    return Output(
        {"task": loaded.name, "recording": member.hash, "episode": number, "file": str(target)},
        f"{member.name} is plotted in {target}",
    )


def _episode(which: str, hash_: str) -> int | None:
    """Return the number at the end of an episode's id, or None for a recording."""
    start, _, number = which.rpartition("-")
    return int(number) if start and hash_.startswith(start) and number.isdigit() else None
