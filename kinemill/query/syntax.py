"""Syntax tree of a query, and conversion to text."""

import re
from dataclasses import dataclass, field

from kinemill.query.tokens import KEYWORDS

_PLAIN = re.compile(r"[^\W\d][\w.]*\Z")
FUNCTIONS = ("min", "max", "mean", "std")


@dataclass(frozen=True)
class Name:
    """A column: a property of recordings, or a metadata key."""

    name: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Statistic:
    """A statistic of a channel over a recording, such as `max(torque)`."""

    function: str
    channel: str
    position: int = field(default=0, compare=False)

    @property
    def column(self) -> str:
        """Name of its column."""
        return f"{self.function}({self.channel})"


@dataclass(frozen=True)
class Text:
    """A quoted text."""

    value: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Number:
    """A number as written, with its unit or ""."""

    digits: str
    unit: str = ""
    position: int = field(default=0, compare=False)

    @property
    def value(self) -> float:
        """The number."""
        return float(self.digits)


@dataclass(frozen=True)
class Date:
    """A date or time without quotes, ISO 8601."""

    value: str
    position: int = field(default=0, compare=False)


Operand = Name | Statistic
Literal = Text | Number | Date


def spelled(value: Literal) -> str:
    """Return a literal as written, without quotes and unit."""
    return value.digits if isinstance(value, Number) else value.value


@dataclass(frozen=True)
class Compare:
    """Comparison of a column with a literal or a column; the operator can be `like`."""

    column: Operand
    operator: str
    value: Operand | Literal
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Among:
    """Whether a column has one of several values."""

    column: Operand
    values: tuple[Literal, ...]
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Word:
    """A status as a condition: `quarantined`."""

    word: str
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class View:
    """A saved query as a condition: `@good_runs`.

    Attributes:
        name: without the @.
        query: its query; None: not resolved.
    """

    name: str
    query: "Query | None" = None
    position: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Not:
    """Negation."""

    part: "Query"


@dataclass(frozen=True)
class And:
    """All parts hold."""

    parts: tuple["Query", ...]


@dataclass(frozen=True)
class Or:
    """At least one part holds."""

    parts: tuple["Query", ...]


Query = And | Or | Not | Compare | Among | Word | View


def spell(query: Query) -> str:
    """Return the text of a query: `parse(spell(query)) == query`.

    A resolved view is replaced by its query.
    """
    match query:
        case View():
            return spell(query.query) if query.query else f"@{query.name}"
        case And():
            return " and ".join(_inner(part, And) for part in query.parts)
        case Or():
            return " or ".join(_inner(part, Or) for part in query.parts)
        case Not():
            return f"not {_inner(query.part, Not)}"
        case Word():
            return _name(query.word)
        case Among() | Compare():
            return _condition(query)


def parts_of(query: Query) -> tuple[Query, ...]:
    """Return the parts of a query; none for a condition."""
    match query:
        case And() | Or():
            return query.parts
        case Not():
            return (query.part,)
        case View():
            return (query.query,) if query.query else ()
        case _:
            return ()


def _condition(query: Among | Compare) -> str:
    if isinstance(query, Compare):
        return f"{_value(query.column)} {query.operator} {_value(query.value)}"
    values = ", ".join(_value(value) for value in query.values)
    return f"{_value(query.column)} in ({values})"


def _inner(query: Query, outer: type[object]) -> str:
    """Return the text of a part, in brackets if precedence or grouping require them."""
    if isinstance(query, View) and query.query:
        return _inner(query.query, outer)
    needs = Or if outer is Or else And | Or
    return f"({spell(query)})" if isinstance(query, needs) else spell(query)


def _value(value: Operand | Literal) -> str:
    match value:
        case Name():
            return _name(value.name)
        case Statistic():
            return f"{value.function}({_name(value.channel)})"
        case Text():
            quote = '"' if "'" in value.value else "'"
            return f"{quote}{value.value}{quote}"
        case Number():
            return f"{value.digits} {value.unit}".strip()
        case Date():
            return value.value


def _name(name: str) -> str:
    return name if _PLAIN.match(name) and name.lower() not in KEYWORDS else f"`{name}`"
