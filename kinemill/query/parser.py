"""Parser of queries: recursive descent, with a limit on nesting.

    query      = conjunction {"or" conjunction}
    conjunction = negation {"and" negation}
    negation   = "not" negation | primary
    primary    = "(" query ")" | "@" view | operand [test] | literal operator operand
    test       = operator value | ["not"] "in" "(" literal {"," literal} ")"
               | ["not"] ("like" | "~") text
    operand    = name | function "(" name ")" | name "(" text ")"

A name without a test is a status such as `quarantined`. `tag('slip')` is `tag = 'slip'`.
"""

from kinemill.query.errors import QueryError
from kinemill.query.syntax import (
    FUNCTIONS,
    Among,
    And,
    Compare,
    Date,
    Literal,
    Name,
    Not,
    Number,
    Operand,
    Or,
    Query,
    Statistic,
    Text,
    View,
    Word,
)
from kinemill.query.tokens import COMPARISONS, Token, tokenize
from kinemill.registry import nearest

DEEPEST = 50  # most nested brackets and negations
_SETS = ("found", "tag", "edited")  # columns that hold several texts
_FLIPPED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


def parse(text: str) -> Query:
    """Return the syntax tree of a query; names are not validated.

    Raises:
        QueryError: The text is not a query; the message has the position and the expected input.
    """
    parser = _Parser(tokenize(text))
    query = parser.query(0)
    parser.end()
    return query


class _Parser:
    """The tokens of a query, and the position of the next one."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens, self._at = tokens, 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _advance(self) -> Token:
        token = self._next
        self._at += token.kind != "end"
        return token

    def _accepts(self, kind: str, value: str) -> Token | None:
        token = self._next
        return self._advance() if (token.kind, token.value) == (kind, value) else None

    def _unexpected(self, expected: str, fix: str | None = None) -> QueryError:
        return QueryError(
            self._next.position, f"found {self._next.describe()}", expected=expected, fix=fix
        )

    def end(self) -> None:
        """Raise an error unless all tokens were read."""
        if self._next.kind != "end":
            raise self._unexpected("`and`, `or` or the end of the query")

    def query(self, depth: int) -> Query:
        """Parse alternatives."""
        parts = [self._conjunction(depth)]
        while self._accepts("keyword", "or"):
            parts.append(self._conjunction(depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _conjunction(self, depth: int) -> Query:
        parts = [self._negation(depth)]
        while self._accepts("keyword", "and"):
            parts.append(self._negation(depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _negation(self, depth: int) -> Query:
        if depth > DEEPEST:
            problem = f"brackets and negations are nested deeper than {DEEPEST}"
            raise QueryError(self._next.position, problem, expected=f"at most {DEEPEST}")
        if self._accepts("keyword", "not"):
            return Not(self._negation(depth + 1))
        if opening := self._accepts("bracket", "("):
            query = self.query(depth + 1)
            if not self._accepts("bracket", ")"):
                raise self._unexpected(f"`)` for the bracket at character {opening.position}")
            return query
        return self._condition()

    def _condition(self) -> Query:
        if self._next.kind in {"text", "number", "date"}:
            return self._flipped(self._literal())
        start = self._next
        if start.kind == "view":
            return View(self._advance().value, position=start.position)
        if start.kind != "name":
            raise self._unexpected("a condition, such as `robot = 'r7'` or `quarantined`")
        column = self._operand()
        if isinstance(column, Compare):
            return column
        test = self._test(column)
        if test is not None:
            return test
        if isinstance(column, Statistic):
            raise self._unexpected("a comparison, such as `> 20`")
        return Word(column.name, column.position)

    def _flipped(self, literal: Literal) -> Query:
        """Parse a comparison that starts with a literal: `20 < max(torque)`."""
        token = self._next
        if token.kind != "operator" or token.value not in COMPARISONS:
            raise self._unexpected("a comparison, such as `< max(torque)`")
        self._advance()
        if self._next.kind != "name":
            raise self._unexpected("a column on one side of a comparison")
        column = self._operand()
        if isinstance(column, Compare):
            raise QueryError(column.position, "a condition is compared", expected="a column")
        return Compare(column, _FLIPPED[token.value], literal, token.position)

    def _operand(self) -> Operand | Compare:
        """Parse a column or statistic; `tag('slip')` is a comparison."""
        token = self._advance()
        if not self._accepts("bracket", "("):
            return Name(token.value, token.position)
        if token.value in _SETS:
            text = self._text()
            self._close(token)
            return Compare(Name(token.value, token.position), "=", text, token.position)
        if token.value not in FUNCTIONS:
            fix = nearest(token.value, [*FUNCTIONS, *_SETS])
            raise QueryError(token.position, f"`{token.value}` is not a function", fix=fix)
        if self._next.kind != "name":
            raise self._unexpected("a channel name")
        channel = self._advance()
        self._close(token)
        return Statistic(token.value, channel.value, token.position)

    def _close(self, function: Token) -> None:
        if not self._accepts("bracket", ")"):
            raise self._unexpected(f"`)` after the argument of {function.value}")

    def _test(self, column: Operand) -> Query | None:
        """Parse the test after a column; None without a test."""
        token = self._next
        if token.kind == "operator" and token.value in COMPARISONS:
            self._advance()
            return Compare(column, token.value, self._value(), token.position)
        negated = self._accepts("keyword", "not") is not None
        test = self._pattern(column) or self._choice(column)
        if test is None and negated:
            raise self._unexpected("`in` or `like` after `not`")
        return Not(test) if test is not None and negated else test

    def _pattern(self, column: Operand) -> Query | None:
        token = self._accepts("operator", "~") or self._accepts("keyword", "like")
        return Compare(column, "like", self._text(), token.position) if token else None

    def _choice(self, column: Operand) -> Query | None:
        token = self._accepts("keyword", "in")
        if token is None:
            return None
        if not self._accepts("bracket", "("):
            raise self._unexpected("`(` after `in`, as in `robot in ('r7', 'r8')`")
        values = [self._literal()]
        while self._accepts("bracket", ","):
            values.append(self._literal())
        if not self._accepts("bracket", ")"):
            raise self._unexpected("`,` or `)`")
        return Among(column, tuple(values), token.position)

    def _value(self) -> Operand | Literal:
        if self._next.kind != "name":
            return self._literal()
        value = self._operand()
        if isinstance(value, Compare):
            raise QueryError(value.position, "a condition is compared", expected="a value")
        return value

    def _literal(self) -> Literal:
        token = self._next
        if token.kind == "text":
            return self._text()
        if token.kind == "number":
            self._advance()
            return Number(token.value, token.unit, token.position)
        if token.kind == "date":
            self._advance()
            return Date(token.value, token.position)
        fix = f"quote texts: '{token.value}'" if token.kind == "name" else None
        raise self._unexpected("a quoted text, a number or a date", fix)

    def _text(self) -> Text:
        token = self._next
        if token.kind != "text":
            fix = f"write '{token.value}'" if token.kind in {"name", "number"} else None
            raise self._unexpected("a text in quotes", fix)
        self._advance()
        return Text(token.value, token.position)
