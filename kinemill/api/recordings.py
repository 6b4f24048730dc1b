"""Find recordings of a task by metadata, time, channel statistics, check results and tags."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kinemill.api.training import TaskLike, resolve_task
from kinemill.errors import BadInput
from kinemill.store.home import Home

if TYPE_CHECKING:
    import polars as pl

    from kinemill.dataset.exporters import ExportReport
    from kinemill.ingest.decisions import Decision
    from kinemill.ingest.recordings import Recording
    from kinemill.search import SearchResult
    from kinemill.task import Task


def search_recordings(
    task: "TaskLike",
    query: str = "",
    columns: Sequence[str] | None = None,
    *,
    offset: int = 0,
    limit: int | None = None,
) -> "pl.DataFrame":
    """Return the recordings of a task that match a query, sorted by name.

    Example:
        km.search_recordings("arm", "robot = 'r7' and max(elbow_velocity) > 20")

    Args:
        task: a task, its name or file.
        query: a SQL condition, see docs/data.md; "" matches every recording.
        columns: properties such as `status`, keys of the metadata, or statistics such as
            `max(torque)`, in the unit of the channel. Default: the usual ones, and those of the
            query.
        offset: number of rows to skip.
        limit: maximum number of rows; default: all.

    Raises:
        QueryError: The query is wrong.
        BadInput: A column or a dataset version is unknown.
    """
    return search_page(resolve_task(task), query, columns, offset=offset, limit=limit).frame


def export_recordings(
    task: "TaskLike",
    query: str,
    folder: str | Path,
    form: str = "parquet",
    *,
    version: str = "latest",
) -> "ExportReport":
    """Write the episodes of the recordings that match a query to a new folder, with a task file.

    Episodes, names, units and splits are those of a dataset version. Recordings outside of it are
    omitted.

    Example:
        km.export_recordings("arm", "robot = 'r7' and status = 'accepted'", "r7", "hdf5")

    Args:
        task: a task, its name or file.
        query: a SQL condition, see docs/data.md.
        folder: a new folder.
        form: csv, hdf5, lerobot, mcap or parquet.
        version: dataset version: number, digest prefix, or `latest`.

    Raises:
        QueryError: The query is wrong.
        BadInput: The folder exists, or the version has none of the recordings.
    """
    from kinemill.dataset.exporters import export_data

    resolved = resolve_task(task)
    hashes = search_page(resolved, query, ["recording"]).frame["recording"]
    out = Path(folder).expanduser().resolve()
    return export_data(resolved, Home.resolve(), form, out, version, hashes.to_list())


def read_recording(task: "Task", home: Home, which: str) -> "Recording":
    """Return a recording as read by the present rules of its task.

    `which` is a name, a content hash or its beginning, or the id of an episode.

    Raises:
        BadInput: It does not exist, or was not read by the present rules.
    """
    from kinemill.ingest.decisions import current_decisions
    from kinemill.ingest.inspection import as_recording, find_member, read_before

    member = find_member(task, home, which)
    artifact = read_before(task, home, member)
    if artifact is None:
        problem = "was not processed with the current rules of the task"
        raise BadInput(member.name, problem, fix=f"kinemill data validate {task.name}")
    made = current_decisions(home, task.name).get(member.hash)
    return as_recording(home, member, artifact, released=bool(made and made.decision == "release"))


def decide_quarantine(
    task: "Task",
    home: Home,
    decision: Literal["release", "reject", "undo"],
    recording: str,
    because: str = "",
) -> "Decision":
    """Release a recording from quarantine, reject it, or withdraw the decision.

    Raises:
        BadInput: There is no such recording, or the decision does not apply to it.
    """
    from kinemill.validate import recording_status

    return recording_status.decide_quarantine(task, home, decision, recording, because)


def draw_recording(
    task: "Task", home: Home, recording: "Recording", episode: int | None = None
) -> str:
    """Return the HTML page of a recording with its edits; `episode` selects one of its episodes.

    Raises:
        BadInput: The episode does not exist.
    """
    from kinemill.ingest.edit_recording import edit_rows
    from kinemill.validate.recording_page import view

    edits = [row for row in edit_rows(task, home, recording.hash) if row.undone is None]
    return view(task, recording, episode, edits)


def search_page(
    task: "Task",
    query: str = "",
    columns: Sequence[str] | None = None,
    *,
    offset: int = 0,
    limit: int | None = None,
) -> "SearchResult":
    """Return the result of `search_recordings` with the number of all matches.

    Raises:
        QueryError: The query is wrong.
        BadInput: A column or a dataset version is unknown.
    """
    from kinemill.dataset.catalog import recording_splits
    from kinemill.search.run import Page, search, usual_columns

    home = Home.resolve()
    page = Page(columns or usual_columns(task, home, query), offset, limit)
    return search(task, home, query, page, lambda which: recording_splits(home, task.name, which))
