"""Search: run a query on the recordings of a task."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

import polars as pl

from kinemill.errors import BadInput
from kinemill.ingest.decisions import current_decisions
from kinemill.ingest.edits import current_edits, merges
from kinemill.query import META, PROPERTIES, Query, QueryError, Vocabulary, parse
from kinemill.registry import nearest
from kinemill.search.rows import statistic_columns
from kinemill.search.tags import TAGS, tags_by_recording
from kinemill.search.view import View, open_view, units_of
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.units import factor

COLUMNS = ("name", "recording", "status", "start", "seconds", "episodes")
KEY = "recording"
NAME = "name"
LATEST = "latest"

VersionReader = Callable[[str], pl.DataFrame]
"""Returns `recording` and its list `split` of a dataset version, given its number or `latest`."""


@dataclass(frozen=True)
class SearchResult:
    """Recordings that match a query.

    Attributes:
        frame: rows of this page, sorted by name unless the page has another order.
    """

    total: int
    frame: pl.DataFrame


@dataclass(frozen=True)
class Page:
    """Which columns and rows of the matching recordings are returned.

    Attributes:
        columns: properties, keys of the metadata, or statistics such as `max(torque)`.
        offset: number of rows to skip.
        limit: maximum number of rows; None: all.
        sort: column by which the rows are sorted, then by name; rows without a value come last.
        descending: whether the largest value comes first.
    """

    columns: Sequence[str] = COLUMNS
    offset: int = 0
    limit: int | None = None
    sort: str = NAME
    descending: bool = False


def search(
    task: Task,
    home: Home,
    query: str = "",
    page: Page | None = None,
    versions: VersionReader | None = None,
) -> SearchResult:
    """Return the recordings of a task that match a query.

    An empty query matches every recording; without `versions`, it may name none.

    Raises:
        QueryError: The query is wrong.
        BadInput: A column is unknown.
    """
    view = open_view(task, home)
    page = page or Page()
    keys = view.metadata_keys()
    parsed = _parse(query, task, keys, versions=versions is not None)
    stored = {name: _column(name, task, keys) for name in page.columns}
    by = _column(page.sort, task, keys)
    frame = _matching(view, home, parsed, {*stored.values(), KEY, NAME, by}, versions).collect()
    total = frame.height
    order = [NAME, KEY]
    if by == NAME and not page.descending:
        if page.limit is not None and page.offset + page.limit < total:
            frame = frame.bottom_k(page.offset + page.limit, by=order)
        frame = frame.sort(order)
    else:
        down = [page.descending, False, False]
        frame = frame.sort(pl.col(by), NAME, KEY, descending=down, nulls_last=True)
    frame = frame.slice(page.offset, page.limit)
    return SearchResult(
        total, frame.select(pl.col(column).alias(name) for name, column in stored.items())
    )


def matching_recordings(view: View, home: Home, query: str) -> pl.Series:
    """Return the content hashes of the rows of a view that match a query without versions.

    Raises:
        QueryError: The query is wrong.
    """
    vocabulary = Vocabulary(units_of(view.task), factor, view.metadata_keys(), versions=False)
    return _matching(view, home, parse(query, vocabulary), {KEY}, None).collect()[KEY]


def usual_columns(task: Task, home: Home, query: str) -> list[str]:
    """Return the columns to show for a query: the usual ones, and those that it names.

    Raises:
        QueryError: The query is wrong.
    """
    parsed = _parse(query, task, open_view(task, home).metadata_keys())
    read = parsed.columns.values() if parsed else ()
    named = {column.removeprefix(META) for column in read} - {"version"}
    return [*dict.fromkeys([*COLUMNS, *sorted(named)])]


def _parse(query: str, task: Task, keys: Sequence[str], *, versions: bool = True) -> Query | None:
    """Return a query with the names of a task, of which `keys` are metadata; None if empty."""
    vocabulary = Vocabulary(units_of(task), factor, keys, versions=versions)
    return parse(query, vocabulary) if query.strip() else None


def _column(name: str, task: Task, keys: Sequence[str]) -> str:
    """Return the column of the view that a user names."""
    statistics = statistic_columns(task)
    if name in {*PROPERTIES, *statistics} - {"version"}:
        return name
    if name.removeprefix(META) in keys:
        return META + name.removeprefix(META)
    names = [*PROPERTIES, *keys, *statistics]
    raise BadInput(f"column {name!r}", "unknown", fix=nearest(name, names))


def _matching(
    view: View, home: Home, query: Query | None, columns: Set[str], versions: VersionReader | None
) -> pl.LazyFrame:
    """Return the matching rows of a view with some columns, unsorted."""
    read = dict(query.columns) if query else {}
    named = query.versions if query else ()
    needed = columns | {*read.values()}
    frame = view.scan(needed - {"tag", "split", "version", "edited"})
    if "tag" in read.values():
        TAGS.fetch(home, view.task.name)  # a column that is only shown needs no request
    if "tag" in needed:
        frame = _with_lists(frame, tags_by_recording(home, view.task.name))
    if "edited" in needed:
        frame = _with_lists(frame, _edits_by_recording(home, view.task.name))
    if "status" in needed:
        frame = _with_merged(frame, home, view.task.name)
    if versions:
        split = [_split_version(named)] if "split" in needed else []
        frame = _with_versions(frame, {which: versions(which) for which in {*named, *split}}, split)
    return (_filter(frame, query) if query else frame).select(sorted(columns))


def _filter(frame: pl.LazyFrame, query: Query) -> pl.LazyFrame:
    """Return the rows that match; a comparison with a missing value does not."""
    frame = frame.with_columns(pl.col(column).alias(name) for name, column in query.columns.items())
    start = pl.col("^start$")  # no column if the query does not name it
    frame = frame.with_columns(start.dt.replace_time_zone(None))  # as SQL timestamps
    frame = frame.filter(pl.sql_expr(query.sql))
    return frame.with_columns(start.dt.replace_time_zone("UTC"))


def _with_versions(
    frame: pl.LazyFrame, listings: Mapping[str, pl.DataFrame], split: Sequence[str]
) -> pl.LazyFrame:
    """Return rows with `version`, the listings that have a recording, and the split of one."""
    rows = [listing.select(KEY, version=pl.lit(which)) for which, listing in listings.items()]
    if rows:
        frame = _with_lists(frame, pl.concat(rows).group_by(KEY).agg("version"))
    for which in split:
        frame = _with_lists(frame, listings[which])
    return frame


def _edits_by_recording(home: Home, task: str) -> pl.DataFrame:
    """Return `recording` and `edited`, the kinds of its edits, for each recording with some."""
    edits = {
        hash_: sorted({edit.change.kind for edit in edits if edit.change})
        for hash_, edits in current_edits(home, task).items()
    }
    schema = {KEY: pl.String, "edited": pl.List(pl.String)}
    return pl.DataFrame({KEY: [*edits], "edited": [*edits.values()]}, schema)


def _with_merged(frame: pl.LazyFrame, home: Home, task: str) -> pl.LazyFrame:
    """Return rows with the status of recordings that edits merge into others."""
    if not merges(home, task):
        return frame
    decided = current_decisions(home, task).items()
    merged = [hash_ for hash_, made in decided if made.decision == "merge"]
    status = pl.when(pl.col(KEY).is_in(merged)).then(pl.lit("merged"))
    return frame.with_columns(status.otherwise(pl.col("status")).alias("status"))


def _with_lists(frame: pl.LazyFrame, lists: pl.DataFrame) -> pl.LazyFrame:
    """Return rows with a column of lists, which are empty for rows without one."""
    (name,) = (column for column in lists.columns if column != KEY)
    joined = frame.join(lists.lazy(), on=KEY, how="left")
    return joined.with_columns(pl.col(name).fill_null(pl.lit([], pl.List(pl.String))))


def _split_version(named: Sequence[str]) -> str:
    """Return the version whose split a query means: the one that it names, else the latest.

    Raises:
        QueryError: It names several.
    """
    if len({*named}) > 1:
        problem = f"`split` could be that of {len({*named})} versions"
        raise QueryError(problem, expected="one version in a query with `split`")
    return named[0] if named else LATEST
