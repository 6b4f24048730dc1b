"""Find recordings of a task by metadata, time, channel statistics, check results and tags."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kinemill.api.training import TaskLike, resolve_task
from kinemill.store.home import Home

if TYPE_CHECKING:
    import polars as pl

    from kinemill.dataset.exporters import ExportReport
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
        km.search_recordings("arm", "robot = 'r7' and max(elbow_velocity) > 20 and not quarantined")

    Args:
        task: a task, its name or file.
        query: a condition, see docs/data.md; "" matches every recording.
        columns: properties such as `status`, keys of the metadata, or statistics such as
            `max(torque)`, in the unit of the channel. Default: the usual ones, and those of the
            query.
        offset: number of rows to skip.
        limit: maximum number of rows; default: all.

    Raises:
        QueryError: The query is wrong; the message has the position.
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
        km.export_recordings("arm", "robot = 'r7' and accepted", "r7", "hdf5")

    Args:
        task: a task, its name or file.
        query: a condition, see docs/data.md.
        folder: a new folder.
        form: csv, hdf5, lerobot, mcap or parquet.
        version: dataset version: number, digest prefix, or `latest`.

    Raises:
        QueryError: The query is wrong.
        BadInput: The folder exists, or the version has none of the recordings.
    """
    from kinemill.dataset.exporters import export_data

    own = resolve_task(task)
    hashes = search_page(own, query, ["recording"]).frame["recording"]
    out = Path(folder).expanduser().resolve()
    return export_data(own, Home.resolve(), form, out, version, hashes.to_list())


def save_view(task: "TaskLike", name: str, query: str) -> None:
    """Save a query as a view, `@name` in queries and `dataset.where`.

    Example:
        km.save_view("arm", "good_r7", "robot = 'r7' and accepted")
        km.search_recordings("arm", "@good_r7 and max(torque) > 20")

    Args:
        task: a task, its name or file.
        name: name of the view; an existing view with this name is replaced.
        query: a condition, see docs/data.md; it can refer to other views.

    Raises:
        BadInput: The name has invalid characters.
        QueryError: The query is wrong, or refers to the view itself.
    """
    from kinemill.search.saved_views import save_view as publish

    publish(resolve_task(task), Home.resolve(), name, query)


def list_views(task: "TaskLike") -> "pl.DataFrame":
    """Return the saved queries of a task: `name`, `query`, `who` and `when`, sorted by name."""
    import polars as pl

    from kinemill.search.saved_views import VIEWS, saved_views

    columns, home, name = ("name", "query", "who", "when"), Home.resolve(), resolve_task(task).name
    VIEWS.fetch(home, name)
    every = saved_views(home, name).values()
    return pl.DataFrame(
        {column: [getattr(one, column) for one in every] for column in columns},
        schema=dict.fromkeys(columns, pl.String),
    )


def delete_view(task: "TaskLike", name: str) -> None:
    """Delete a view.

    Args:
        task: a task, its name or file.
        name: name of the view.

    Raises:
        BadInput: The view does not exist, or another view or `dataset.where` of the task uses it.
    """
    from kinemill.search.saved_views import delete_view as publish

    publish(resolve_task(task), Home.resolve(), name)


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
