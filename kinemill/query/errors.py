"""Error of a query, with the position in its text."""

from kinemill.errors import BadInput


class QueryError(BadInput):
    """A query is invalid at one position.

    Args:
        position: position of the first invalid character, from 1.
        problem: description of the problem.
        expected: description of valid input.
        fix: fix, such as the nearest valid name.
    """

    def __init__(
        self, position: int, problem: str, *, expected: str | None = None, fix: str | None = None
    ) -> None:
        self.position = position
        super().__init__(f"query, character {position}", problem, expected=expected, fix=fix)

    def within(self, view: str, position: int) -> "QueryError":
        """Return the error for a query that uses a view with this error."""
        problem = f"in the view @{view}, character {self.position}: {self.problem}"
        return QueryError(position, problem, expected=self.expected, fix=self.fix)

    @property
    def message(self) -> str:
        """The error without `query`, for a setting with a query."""
        parts = [f"character {self.position}: {self.problem}"]
        parts += [f"expected {self.expected}"] if self.expected else []
        return "; ".join([*parts, self.fix] if self.fix else parts)
