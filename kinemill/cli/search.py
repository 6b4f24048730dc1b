"""`kinemill data search`: find recordings by a query."""

from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import Limit, Offset, Output, Table, TaskName, notify

_HASH = 16  # displayed characters of a content hash


def search_recordings(
    task: TaskName,
    query: Annotated[str, typer.Argument()] = "",
    columns: str = "",
    to: Path | None = None,
    export: Path | None = None,
    form: Annotated[str, typer.Option("--format")] = "parquet",
    limit: Limit = 100,
    offset: Offset = 0,
) -> Output:
    """Find recordings by a query.

    Example: kinemill data search my_robot "robot = 'r7' and max(torque) > 20"

    Args:
        query: SQL condition, see docs/data.md.
        columns: Columns, separated by commas.
        to: Write all matches to a .csv or .parquet file.
        export: Write their episodes to a new folder.
        form: Format of --export: csv, hdf5, lerobot, mcap or parquet.
    """
    from kinemill.api.recordings import search_page
    from kinemill.search.output import as_json_rows, check_target, write_frame
    from kinemill.task import load_task

    loaded = load_task(task)
    if export is not None:
        return _export(task, query, export, form)
    named = [name.strip() for name in columns.split(",") if name.strip()] or None
    if to is not None:
        check_target(to)
        page = search_page(loaded, query, named)
        write_frame(page.frame, to)
        summary = {"task": loaded.name, "query": query, "total": page.total, "file": str(to)}
        return Output(summary, lambda: notify(f"{page.total} recordings of {loaded.name} in {to}"))
    page = search_page(loaded, query, named, offset=offset, limit=limit)
    rows = as_json_rows(page.frame)
    title = f"recordings of {loaded.name}, {page.frame.height} of {page.total}"
    cells = [[_cell(*cell) for cell in row.items()] for row in rows]
    return Output(
        {"task": loaded.name, "query": query, "total": page.total, "recordings": rows},
        Table(title, page.frame.columns, cells),
    )


def _export(task: str, query: str, folder: Path, form: str) -> Output:
    from kinemill.api.recordings import export_recordings

    report = export_recordings(task, query, folder, form)
    counts = ", ".join(f"{number} {split}" for split, number in report.episodes.items())
    text = f"{report.task}/v{report.version} as {report.format}: {counts} episodes"
    return Output(report, lambda: notify(f"{text} in {report.folder}"))


def _cell(name: str, value: object) -> object:
    if name == "recording":
        return str(value)[:_HASH]
    if isinstance(value, list):
        return ", ".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType]
    return value
