"""Page of a task's recordings: a query, a sorted table with thumbnails, and forms for tags."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from urllib.parse import urlencode

from kinemill.reports.components import name_of, table
from kinemill_dagster.pipelines.server.web_console.layout import PREFIX, console_page

ROWS = 25  # recordings on a page
_HASH = 16  # characters of a content hash that identify a recording here
_PLAIN = {"name", "recording", "tag"}  # columns that the first cell shows


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
    thumbnails: Mapping[str, str] | None = None
    problem: str = ""


def catalog_page(task: str, request: CatalogRequest, result: CatalogRows) -> str:
    """Return the page of the recordings of a task."""
    sections = [
        f'<header><div><div class="eyebrow">Recordings</div><h1>{escape(task)}</h1></div></header>',
        _query_form(task, request, result.problem),
    ]
    if not result.problem:
        sections += [_pager(task, request, result), _table(task, request, result)]
    return console_page(f"{task}: recordings", sections, task)


def _query_form(task: str, request: CatalogRequest, problem: str) -> str:
    message = f'<p class="message bad" role="alert">{escape(problem)}</p>' if problem else ""
    return (
        f'<form method="get" action="{PREFIX}/recordings/{escape(task)}" class="query">'
        f'<label><span>Query</span><input type="search" name="query" maxlength="2000" '
        f'value="{escape(request.query)}" placeholder="seconds &gt; 10 and rows &gt; 100" '
        'spellcheck="false" autocapitalize="off"></label>'
        "<p><button>Search</button></p><p><small>A SQL condition over properties, "
        "metadata and statistics.</small></p>"
        f"{message}</form>"
    )


def _pager(task: str, request: CatalogRequest, result: CatalogRows) -> str:
    """Return what is shown, with links to the pages before and after."""
    first = request.page * ROWS
    last = first + len(result.rows)
    range_ = (
        f"{first + 1} to {last} of {result.total}" if result.rows else f"none of {result.total}"
    )
    links = [
        f'<a href="{escape(replace(request, page=page).address(task))}">{text}</a>'
        for page, text, exists in (
            (request.page - 1, "Previous", request.page > 0),
            (request.page + 1, "Next", last < result.total),
        )
        if exists
    ]
    return f"<p>{' · '.join([range_, *links])}</p>"


def _table(task: str, request: CatalogRequest, result: CatalogRows) -> str:
    if not result.rows:
        return "<p>No recording matches.</p>"
    columns = [name for name in result.rows[0] if name not in _PLAIN]
    heads = [_head(task, request, "name"), "Channels"]
    heads += [_head(task, request, name) for name in columns]
    thumbnails = result.thumbnails or {}
    cells = [
        [
            _name_cell(task, row),
            thumbnails.get(str(row["recording"]), ""),
            *(_cell(name, row[name]) for name in columns),
            _tag_cell(task, row),
        ]
        for row in result.rows
    ]
    return f'<div class="catalog">{table([*heads, "Tags"], cells, fixed=True)}</div>'


def _head(task: str, request: CatalogRequest, column: str) -> str:
    """Return the head of a column, a link that sorts by it, or reverses the order."""
    is_own = request.sort == column
    turned = replace(request, sort=column, descending=is_own and not request.descending, page=0)
    arrow = (" ↓" if request.descending else " ↑") if is_own else ""
    return f'<a href="{escape(turned.address(task))}">{escape(column)}{arrow}</a>'


def _name_cell(task: str, row: Mapping[str, object]) -> str:
    hash_ = str(row["recording"])
    address = f"{PREFIX}/recordings/{escape(task)}/{hash_}"
    return f'<a href="{address}">{name_of(str(row["name"]))}</a><br><small>{hash_[:_HASH]}</small>'


def _cell(column: str, value: object) -> str:
    if value is None:
        return ""
    if column == "start":
        return escape(str(value)[:19].replace("T", " "))
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return escape(", ".join(map(str, value)))  # pyright: ignore[reportUnknownArgumentType]
    return escape(str(value))


def _tag_cell(task: str, row: Mapping[str, object]) -> str:
    """Return the tags of a recording, each with a button that removes it, and a form for one."""
    tags = row.get("tag")
    names = [str(tag) for tag in tags] if isinstance(tags, list) else []  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    removals = "".join(
        f'<button class="plain" name="remove" value="{escape(name)}" '
        f'title="Remove this tag">{escape(name)} ×</button>'
        for name in names
    )
    return (
        f'<form class="decision" data-path="tasks/{escape(task)}/tags">'
        f'<input type="hidden" name="recording" value="{escape(str(row["recording"]))}" '
        'data-kind="text">'
        '<input type="text" name="tag" maxlength="100" aria-label="New tag" placeholder="new tag">'
        f'<p><button class="plain">Add</button>{removals}</p>'
        '<p class="message" role="status" aria-live="polite"></p></form>'
    )
