"""`kinemill data search`: find recordings by a query."""

from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import JsonOption, Limit, Offset, TaskName, document, notify, table

_HASH = 16  # displayed characters of a content hash


def search_recordings(
    task: TaskName,
    query: Annotated[str, typer.Argument(help="SQL condition, see docs/data.md.")] = "",
    columns: Annotated[str, typer.Option("--columns", help="Columns, separated by commas.")] = "",
    to: Annotated[
        Path | None, typer.Option("--to", help="Write all matches to a .csv or .parquet file.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write their episodes to a new folder.")
    ] = None,
    form: Annotated[
        str,
        typer.Option("--format", help="Format of --export: csv, hdf5, lerobot, mcap or parquet."),
    ] = "parquet",
    limit: Limit = 100,
    offset: Offset = 0,
    as_json: JsonOption = False,
) -> None:
    """Find recordings by a query.

    Example: kinemill data search my_robot "robot = 'r7' and max(torque) > 20"
    """
    from kinemill.api.recordings import search_page
    from kinemill.search.output import as_json_rows, check_target, write_frame
    from kinemill.task import load_task

    loaded = load_task(task)
    if export is not None:
        _export(task, query, export, form, as_json=as_json)
        return
    named = [name.strip() for name in columns.split(",") if name.strip()] or None
    if to is not None:
        check_target(to)
        offset = 0
        page = search_page(loaded, query, named)
        write_frame(page.frame, to)
    else:
        page = search_page(loaded, query, named, offset=offset, limit=limit)
    rows = [] if to else as_json_rows(page.frame)
    if as_json:
        summary = {"task": loaded.name, "query": query, "total": page.total}
        document(summary | ({"file": str(to)} if to else {"recordings": rows}))
    elif to:
        notify(f"{page.total} recordings of {loaded.name} in {to}")
    else:
        title = f"recordings of {loaded.name}, {page.frame.height} of {page.total}"
        table(title, page.frame.columns, [[_cell(*cell) for cell in row.items()] for row in rows])


def _export(task: str, query: str, folder: Path, form: str, *, as_json: bool) -> None:
    from kinemill.api.recordings import export_recordings

    report = export_recordings(task, query, folder, form)
    if as_json:
        document(report)
        return
    counts = ", ".join(f"{number} {split}" for split, number in report.episodes.items())
    notify(
        f"{report.task}/v{report.version} as {report.format}: {counts} episodes in {report.folder}"
    )


def _cell(name: str, value: object) -> object:
    if name == "recording":
        return str(value)[:_HASH]
    if isinstance(value, list):
        return ", ".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType]
    return value
