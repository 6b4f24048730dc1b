"""Saved views: queries of a task with a name, used as `@NAME` in queries and in `dataset.where`.

The last act of a name is its query, or removes it. A dataset depends on the query and not on the
name.
"""

import re
from dataclasses import dataclass

from kinemill.errors import BadInput
from kinemill.query import Query, Vocabulary, check, expand, parse, spell, view_names
from kinemill.registry import nearest
from kinemill.search.view import open_view, units_of
from kinemill.store import Format, Home
from kinemill.store.act_log import ActLog
from kinemill.store.locks import current_user, now
from kinemill.task import Task
from kinemill.task.units import factor

_NAME = re.compile(r"[^\W\d][\w.-]{0,99}\Z")


@dataclass(frozen=True)
class SavedView:
    """One act: a query got a name, or a name was removed.

    Attributes:
        number: of the act, from 1.
        name: of the view, without the @.
        query: its text; None removes the name.
        who: a user.
        when: ISO 8601, UTC.
    """

    number: int
    name: str
    query: str | None
    who: str
    when: str


VIEWS = ActLog("views", Format("view", 1), SavedView)


def saved_views(home: Home, task: str) -> dict[str, SavedView]:
    """Return the views of a task by name.

    Raises:
        CorruptArtifact: An act cannot be read.
    """
    last = {act.name: act for act in VIEWS.read(home, task)}
    return {name: last[name] for name in sorted(last) if last[name].query is not None}


def parse_with_views(home: Home, task: str, query: str) -> Query:
    """Return the syntax tree of a query with the queries of its views, fetched before.

    Raises:
        QueryError: The text is no query, or a view is unknown or refers to itself.
        Unreachable: The object store did not respond.
    """
    tree = parse(query)
    if not any(view_names(tree)):
        return tree
    VIEWS.fetch(home, task)
    return expand(tree, _texts(saved_views(home, task)))


def with_resolved_rule(task: Task, home: Home) -> Task:
    """Return a task whose `dataset.where` names no view: each is replaced by its query.

    Raises:
        BadInput: A view is unknown or refers to itself.
    """
    where = task.dataset.where
    if where is None or not any(view_names(parse(where))):
        return task
    query = spell(parse_with_views(home, task.name, where))
    dataset = task.dataset.model_copy(update={"where": query})
    return task.model_copy(update={"dataset": dataset})


def save_view(task: Task, home: Home, name: str, query: str) -> SavedView:
    """Save a query under a name; an earlier query of this name is replaced.

    Raises:
        BadInput: The name has characters that no view may have.
        QueryError: The query is wrong, or refers to the view itself.
    """
    if not _NAME.match(name):
        expected = "a letter or _, then up to 99 letters, digits, `_`, `.` or `-`"
        raise BadInput(f"view {name!r}"[:200], "is not a name of a view", expected=expected)
    return _publish(task, home, name, query)


def delete_view(task: Task, home: Home, name: str) -> SavedView:
    """Remove a view.

    Raises:
        BadInput: There is no such view, or another view or `dataset.where` of the task uses it.
    """
    return _publish(task, home, name.removeprefix("@"), None)


def _publish(task: Task, home: Home, name: str, query: str | None) -> SavedView:
    keys = [] if query is None else open_view(task, home).metadata_keys()

    def make() -> SavedView:
        current = saved_views(home, task.name)
        if query is None:
            _check_unused(task, current, name)
        else:
            tree = expand(parse(query), _texts(current) | {name: query}, name)
            check(tree, Vocabulary(units_of(task), factor, keys))
        return SavedView(0, name, query, current_user(), now())

    return VIEWS.append(home, task.name, make)


def _check_unused(task: Task, current: dict[str, SavedView], name: str) -> None:
    if name not in current:
        fix = nearest(name, [*current]) if current else f"{task.name} has no views"
        raise BadInput(f"view @{name}", "does not exist", fix=fix)
    users = [f"the view @{one}" for one, view in current.items() if _uses(view.query, name)]
    if _uses(task.dataset.where, name):
        users.append(f"dataset.where of {task.path or task.name}")
    if users:
        problem = f"is used by {', '.join(users)}"
        raise BadInput(f"view @{name}", problem, fix="remove it there first")


def _uses(query: str | None, name: str) -> bool:
    return query is not None and name in view_names(parse(query))


def _texts(views: dict[str, SavedView]) -> dict[str, str]:
    return {name: view.query for name, view in views.items() if view.query is not None}
