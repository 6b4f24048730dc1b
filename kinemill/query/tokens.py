"""Tokens of a query: names, views, texts, numbers with units, dates, operators and brackets."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from kinemill.query.errors import QueryError

LONGEST = 10_000  # longest query, characters
KEYWORDS = frozenset({"and", "or", "not", "in", "like"})
COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")
_DATE = r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d)?)?"
_PATTERN = re.compile(
    rf"""
      (?P<space>\s+)
    | (?P<date>{_DATE})(?![\w-])
    | (?P<version>\d+(?:\.\d+){{2,}})
    | (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)
    | (?P<text>'[^']*'|"[^"]*")
    | (?P<name>[^\W\d][\w.]*)
    | `(?P<quoted>[^`]*)`
    | @(?P<view>[^\W\d][\w.-]*)
    | (?P<operator><=|>=|!=|[<>=~])(?!=)
    | (?P<bracket>[(),])
    """,
    re.VERBOSE,
)
_UNIT = re.compile(r"\s*([^\W\d_]|[°%])[\w°%*/^·.]*")
# Operators of other languages, and their equivalents here.
_SPELLINGS = {"==": "=", "<>": "!=", "&&": "and", "||": "or", "!": "not", "&": "and", "|": "or"}
_SPELLINGS_PATTERN = re.compile("|".join(map(re.escape, sorted(_SPELLINGS, key=len, reverse=True))))

Kind = Literal["name", "view", "keyword", "text", "number", "date", "operator", "bracket", "end"]
_KINDS: dict[str, Kind] = {
    "name": "name",
    "quoted": "name",
    "view": "view",
    "date": "date",
    "operator": "operator",
    "bracket": "bracket",
}


@dataclass(frozen=True)
class Token:
    """One token.

    Attributes:
        value: name, text without quotes, digits, or operator.
        position: position of its first character, from 1.
        unit: unit of a number; "" without one.
    """

    kind: Kind
    value: str
    position: int
    unit: str = ""

    def describe(self) -> str:
        """Return a description of the token for messages."""
        if self.kind == "end":
            return "the end of the query"
        if self.kind == "text":
            return f"the text {self.value!r}" if len(self.value) < 40 else "a long text"
        return f"`@{self.value}`" if self.kind == "view" else f"`{self.value}`"


def tokenize(text: str) -> list[Token]:
    """Return the tokens of a query; the last one is the end.

    Raises:
        QueryError: The query is too long, or has invalid characters.
    """
    if len(text) > LONGEST:
        fix = "add a tag to these recordings, and query the tag"
        expected = f"at most {LONGEST}"
        raise QueryError(
            LONGEST + 1, f"the query has {len(text)} characters", expected=expected, fix=fix
        )
    return [*_tokens(text), Token("end", "", len(text) + 1)]


def _tokens(text: str) -> Iterator[Token]:
    at = 0
    while at < len(text):
        match = _PATTERN.match(text, at)
        if match is None:
            raise _unknown(text, at)
        kind, position = str(match.lastgroup), at + 1
        value, at = match[kind], match.end()
        if kind == "number":
            unit = _unit(text, at)
            at += len(unit)
            yield Token("number", value, position, unit.strip())
        elif kind != "space":
            yield _token(kind, value, position)


def _token(kind: str, value: str, position: int) -> Token:
    """Return a token that is not a number."""
    if kind == "version":
        fix = f"quote it: '{value}'"
        raise QueryError(position, f"`{value}` is not a number", expected="a number", fix=fix)
    if kind == "text":
        return Token("text", value[1:-1], position)
    if kind == "name" and value.lower() in KEYWORDS:
        return Token("keyword", value.lower(), position)
    return Token(_KINDS[kind], value, position)


def _unit(text: str, at: int) -> str:
    """Return the unit after a number with the space before it; "" without one."""
    match = _UNIT.match(text, at)
    return "" if match is None or match[0].strip().lower() in KEYWORDS else match[0]


def _unknown(text: str, at: int) -> QueryError:
    """Return the error for invalid characters."""
    character = text[at]
    if character == "@":
        expected = "the name of a view, such as `@good_runs`"
        return QueryError(at + 1, "`@` has no name", expected=expected)
    if character in "'\"`":
        problem = f"the quote {character} is not closed"
        return QueryError(at + 1, problem, expected=f"{character} at its end")
    match = _SPELLINGS_PATTERN.match(text, at)
    if match:
        return QueryError(
            at + 1, f"`{match[0]}` is not an operator", fix=f"write `{_SPELLINGS[match[0]]}`"
        )
    return QueryError(
        at + 1,
        f"the character {character!r} is not valid here",
        expected="a name, a quoted text, a number, an operator or a bracket",
        fix="quote names with other characters by backticks: `robot-id`",
    )
