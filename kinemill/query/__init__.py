"""Query language of recordings: from text to a validated syntax tree, without data.

    from kinemill.query import check, parse

    query = check(parse("robot = 'r7' and max(elbow_velocity) > 20"), units, metadata=None)

`kinemill.search` runs a query on the recordings of a task. Loading a task file validates its
`dataset.where`.
"""

from kinemill.query.checks import Vocabulary, check, uses
from kinemill.query.errors import QueryError
from kinemill.query.parser import parse
from kinemill.query.syntax import Query, spell
from kinemill.query.views import expand, view_names

__all__ = [
    "Query",
    "QueryError",
    "Vocabulary",
    "check",
    "expand",
    "parse",
    "spell",
    "uses",
    "view_names",
]
