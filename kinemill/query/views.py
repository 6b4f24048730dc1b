"""Views in queries: `@good_runs` is a saved query with this name."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from kinemill.query.errors import QueryError
from kinemill.query.parser import DEEPEST, parse
from kinemill.query.syntax import And, Not, Or, Query, View, parts_of
from kinemill.registry import nearest

MOST = 100  # most views in a query, with repetitions
_DEEPEST = 2 * DEEPEST + 2  # most levels of a syntax tree; a bracket adds `or` and `and`


def view_names(query: Query) -> Iterator[str]:
    """Yield the names of the views in a query, without those of nested views."""
    if isinstance(query, View):
        yield query.name
        return
    for part in parts_of(query):
        yield from view_names(part)


def expand(query: Query, views: Mapping[str, str], name: str | None = None) -> Query:
    """Return a query with all views resolved, including nested ones.

    Raises:
        QueryError: A view is unknown, refers to itself or has an invalid query, or the query
            becomes too large.
    """
    return _Expansion(views).expand(query, (name,) if name else (), 0)


class _Expansion:
    """Expansion of the views of a query, with their number."""

    def __init__(self, views: Mapping[str, str]) -> None:
        self._views, self._count = views, 0

    def expand(self, query: Query, within: tuple[str, ...], depth: int) -> Query:
        match query:
            case And() | Or():
                parts = tuple(self.expand(part, within, depth + 1) for part in query.parts)
                return replace(query, parts=parts)
            case Not():
                return Not(self.expand(query.part, within, depth + 1))
            case View():
                return self._look_up(query, within, depth)
            case _:
                return query

    def _look_up(self, view: View, within: tuple[str, ...], depth: int) -> View:
        name, position = view.name, view.position
        if name in within:
            chain = " -> ".join(f"@{one}" for one in (*within[within.index(name) :], name))
            raise QueryError(position, f"the view @{name} refers to itself: {chain}")
        if name not in self._views:
            save = f"`kinemill data search TASK QUERY --save {name}` saves it"
            fix = nearest(name, list(self._views)) if self._views else save
            raise QueryError(position, f"there is no view @{name}", fix=fix)
        self._count += 1
        if self._count > MOST or depth > _DEEPEST:
            problem = "the query is too large after the expansion of its views"
            expected = f"at most {MOST} views, nested at most {_DEEPEST} levels deep"
            raise QueryError(position, problem, expected=expected)
        try:
            own = self.expand(parse(self._views[name]), (*within, name), depth + 1)
        except QueryError as error:
            raise error.within(name, position) from error
        return replace(view, query=own)
