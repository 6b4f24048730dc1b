"""Search: run a query on the recordings of a task."""

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass

import polars as pl

from kinemill.errors import BadInput
from kinemill.ingest.decisions import current_decisions
from kinemill.ingest.edits import current_edits, merges
from kinemill.query import QueryError, Vocabulary, check, uses
from kinemill.query.checks import META, PROPERTIES, Uses, metadata_key
from kinemill.query.syntax import Among, Compare, Name, Number, Query, Text, parts_of, spelled
from kinemill.registry import nearest
from kinemill.search.compile import Context, compile_query
from kinemill.search.rows import statistic_columns
from kinemill.search.saved_views import parse_with_views
from kinemill.search.tags import TAGS, tags_by_recording
from kinemill.search.view import View, open_view, units_of
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.units import factor

COLUMNS = ("name", "recording", "status", "start", "seconds", "episodes")
KEY, NAME = "recording", "name"
LATEST = "latest"
_NOTHING = Uses(frozenset(), frozenset(), frozenset())

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
    return search_view(open_view(task, home), home, query, page, versions)


def search_view(
    view: View,
    home: Home,
    query: str = "",
    page: Page | None = None,
    versions: VersionReader | None = None,
) -> SearchResult:
    """Return the rows of a view that match a query; see `search`."""
    page = page or Page()
    keys = view.metadata_keys()
    vocabulary = Vocabulary(units_of(view.task), factor, keys, versions=versions is not None)
    tree = _parsed(query, vocabulary, home, view.task)
    stored = {name: _column(name, view.task, keys) for name in page.columns}
    by = _column(page.sort, view.task, keys)
    frame = _matching(view, home, tree, {*stored.values(), KEY, NAME, by}, versions).collect()
    total, order = frame.height, [NAME, KEY]
    if by == NAME and not page.descending:
        if page.limit is not None and page.offset + page.limit < total:
            frame = frame.bottom_k(page.offset + page.limit, by=order)
        frame = frame.sort(order)
    else:
        down = [page.descending, False, False]
        frame = frame.sort(pl.col(by), NAME, KEY, descending=down, nulls_last=True)
    frame = frame.slice(page.offset, page.limit)
    return SearchResult(
        total, frame.select(pl.col(own).alias(name) for name, own in stored.items())
    )


def matching_recordings(view: View, home: Home, query: str) -> pl.Series:
    """Return the content hashes of the rows of a view that match a query without versions.

    Raises:
        QueryError: The query is wrong.
    """
    keys, units = view.metadata_keys(), units_of(view.task)
    vocabulary = Vocabulary(units, factor, keys, versions=False)
    tree = _parsed(query, vocabulary, home, view.task)
    return _matching(view, home, tree, {KEY}, None).collect()[KEY]


def usual_columns(task: Task, home: Home, query: str) -> list[str]:
    """Return the columns to show for a query: the usual ones, and those that it or its views name.

    Raises:
        QueryError: The text is no query.
    """
    read = uses(parse_with_views(home, task.name, query)) if query.strip() else _NOTHING
    statistics = {one.column for one in read.statistics}
    named = [*sorted(read.properties - {"version"}), *sorted(read.metadata), *sorted(statistics)]
    return [*dict.fromkeys([*COLUMNS, *named])]


def _parsed(query: str, vocabulary: Vocabulary, home: Home, task: Task) -> Query | None:
    if not query.strip():
        return None
    return check(parse_with_views(home, task.name, query), vocabulary)


def _column(name: str, task: Task, keys: Sequence[str]) -> str:
    """Return the column of the view that a user names."""
    statistics = statistic_columns(task)
    if name in {*PROPERTIES, *statistics} - {"version"}:
        return name
    if metadata_key(name) in keys:
        return f"{META}{metadata_key(name)}"
    names = [*PROPERTIES, *keys, *statistics]
    raise BadInput(f"column {name!r}", "unknown", fix=nearest(name, names))


def _matching(
    view: View, home: Home, query: Query | None, columns: Set[str], versions: VersionReader | None
) -> pl.LazyFrame:
    """Return the matching rows of a view with some columns, unsorted."""
    read = uses(query) if query else _NOTHING
    needed = columns | read.properties | {f"{META}{key}" for key in read.metadata}
    needed |= {statistic.column for statistic in read.statistics}
    frame = view.scan(needed - {"tag", "split", "version", "edited"})
    if "tag" in read.properties:
        TAGS.fetch(home, view.task.name)  # a column that is only shown needs no request
    if "tag" in needed:
        frame = _with_lists(frame, tags_by_recording(home, view.task.name))
    if "edited" in needed:
        frame = _with_lists(frame, _edits_by_recording(home, view.task.name))
    if "status" in needed:
        frame = _with_merged(frame, home, view.task.name)
    named = [*_versions(query)] if query else []
    own_split = {_split_version(named)} if "split" in needed else set[str]()
    listings = {which: versions(which) for which in {*named, *own_split}} if versions else {}
    for which in own_split:
        frame = _with_lists(frame, listings[which])
    if query:
        rows = frame  # before the filter

        def distinct(column: str) -> pl.Series:
            return rows.select(pl.col(column).unique()).collect()[column]

        members = {which: listing[KEY] for which, listing in listings.items()}
        frame = rows.filter(compile_query(query, Context(members, distinct)))
    return frame.select(sorted(columns))


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


def _versions(query: Query) -> Iterator[str]:
    """Yield the dataset versions that a query names, as they are written."""
    for part in parts_of(query):
        yield from _versions(part)
    match query:
        case Compare(column=Name("version"), value=Text() | Number() as value):
            yield spelled(value)
        case Among(column=Name("version")):
            yield from map(spelled, query.values)
        case _:
            pass


def _split_version(named: Sequence[str]) -> str:
    """Return the version whose split a query means: the one that it names, else the latest.

    Raises:
        QueryError: It names several.
    """
    if len({*named}) > 1:
        problem = f"`split` could be that of {len({*named})} versions"
        raise QueryError(1, problem, expected="one version in a query with `split`")
    return named[0] if named else LATEST
