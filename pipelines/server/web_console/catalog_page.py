"""Page of a task's recordings: a query, a sorted table with thumbnails, and forms for tags."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

import polars as pl

from kinemill.api.recordings import draw_recording, read_recording
from kinemill.dataset.catalog import recording_splits
from kinemill.errors import BadInput
from kinemill.ingest.rows import read_rows as read_track
from kinemill.reports.charts import thumbnail
from kinemill.search.output import as_json_rows
from kinemill.search.run import Page, search, usual_columns
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill_dagster.pipelines.server.web_console.layout import PREFIX, console_page

ROWS = 25  # recordings on a page
_PLAIN = {"name", "recording", "tag"}  # columns that the first cell shows
_LONGEST = 2000  # characters of a query
_CHANNELS = 3  # drawn for each recording


@dataclass(frozen=True)
class CatalogRequest:
    """What a page shows.

    Attributes:
        query: condition; "" matches every recording.
        sort: column by which the table is sorted.
        descending: whether the largest value comes first.
        page: number of the page, from 0.
    """

    query: str = ""
    sort: str = "name"
    descending: bool = False
    page: int = 0

    def address(self, task: str) -> str:
        """Return the address of the page."""
        values = {"query": self.query, "sort": self.sort, "page": self.page}
        stated = {key: value for key, value in values.items() if value}
        order = {"order": "down"} if self.descending else {}
        return f"{PREFIX}/recordings/{task}?{urlencode({**stated, **order})}"

    def sorted_by(self, column: str) -> "CatalogRequest":
        """Return the first page sorted by a column; in reverse if it is sorted by that one."""
        descending = self.sort == column and not self.descending
        return replace(self, sort=column, descending=descending, page=0)


@dataclass(frozen=True)
class CatalogRows:
    """Recordings of one page.

    Attributes:
        total: number of all that match.
        rows: values by column.
        thumbnails: SVG by content hash.
        problem: why the query is wrong; "" if it is not.
    """

    total: int = 0
    rows: Sequence[Mapping[str, object]] = ()
    thumbnails: Mapping[str, str] = field(default_factory=dict[str, str])
    problem: str = ""


def catalog_page(task: str, request: CatalogRequest, result: CatalogRows) -> str:
    """Return the page of the recordings of a task."""
    first = request.page * ROWS
    last = first + len(result.rows)
    pages = {"Previous": request.page - 1} if request.page > 0 else {}
    pages |= {"Next": request.page + 1} if last < result.total else {}
    columns = [name for row in result.rows[:1] for name in row if name not in _PLAIN]
    return console_page(
        f"{task}: recordings",
        "catalog.html.j2",
        task,
        task=task,
        request=request,
        problem=result.problem,
        shown=f"{f'{first + 1} to {last}' if result.rows else 'none'} of {result.total}",
        pages={text: replace(request, page=page) for text, page in pages.items()},
        columns=columns,
        rows=[
            dict(row) | {"cells": [_cell(name, row[name]) for name in columns]}
            for row in result.rows
        ],
        thumbnails=result.thumbnails,
    )


def _cell(column: str, value: object) -> str:
    if value is None:
        return ""
    if column == "start":
        return str(value)[:19].replace("T", " ")
    if isinstance(value, list):
        return ", ".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def read_request(values: Mapping[str, str]) -> CatalogRequest:
    """Return the query, order and page in an address; a wrong number means the first page."""
    page = values.get("page", "")
    number = int(page) if page.isdecimal() and len(page) < 8 else 0
    query = values.get("query", "")[:_LONGEST]
    sort = values.get("sort", "") or "name"
    return CatalogRequest(query.strip(), sort[:_LONGEST], values.get("order") == "down", number)


def read_rows(task: Task, home: Home, request: CatalogRequest) -> CatalogRows:
    """Return the recordings of a page; a wrong query is a part of the page."""
    try:
        columns = [*usual_columns(task, home, request.query), "tag"]
        if request.sort not in columns:
            columns.append(request.sort)
        named = [*dict.fromkeys(columns)]
        first = request.page * ROWS
        page = Page(named, first, ROWS, request.sort, request.descending)
        result = search(
            task, home, request.query, page, lambda which: recording_splits(home, task.name, which)
        )
    except BadInput as error:
        return CatalogRows(problem=str(error))
    rows = as_json_rows(result.frame)
    hashes = [str(row["recording"]) for row in rows]
    drawn = {hash_: _thumbnail(task, home, hash_) for hash_ in hashes}
    return CatalogRows(result.total, rows, drawn)


def recording_page(task: Task, home: Home, which: str) -> str:
    """Return the page of one recording, with the edits that it was read with.

    Raises:
        BadInput: It does not exist, or was not read by the present rules.
    """
    return draw_recording(task, home, read_recording(task, home, which))


def _thumbnail(task: Task, home: Home, hash_: str) -> str:
    """Return the first channels of the longest track of a recording as SVG; "" without one."""
    try:
        recording = read_recording(task, home, hash_)
    except BadInput:
        return ""  # forgotten since the search, or not read by the present rules
    if not recording.summary.tracks:
        return ""
    track = max(recording.summary.tracks, key=lambda item: item.rows)
    names = task.numbers[:_CHANNELS]
    frame = read_track(recording.folder / track.file, ["time_s", *names])
    columns = {name: frame[name].cast(pl.Float64).to_numpy() for name in names}
    return thumbnail(frame["time_s"].to_numpy(), columns)
