"""Validation of a query: names, types of comparisons, units and dates, with positions."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal as Choice
from typing import NamedTuple

from kinemill.errors import BadInput
from kinemill.query.dates import read_span
from kinemill.query.errors import QueryError
from kinemill.query.syntax import (
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
    parts_of,
    spelled,
)
from kinemill.registry import nearest

Kind = Choice["text", "number", "time", "set", "version", "metadata"]
PROPERTIES: dict[str, Kind] = {
    "recording": "text",
    "name": "text",
    "status": "text",
    "bytes": "number",
    "rows": "number",
    "dropped_rows": "number",
    "seconds": "number",
    "episodes": "number",
    "start": "time",
    "found": "set",
    "tag": "set",
    "edited": "set",
    "split": "set",
    "version": "version",
}
NOT_VALIDATED = "not validated"
STATUSES = ("accepted", "partly", "quarantined", "released", "rejected", "superseded", "merged")
WORDS = (*STATUSES, "validated", "edited")
SPLITS = ("train", "validation", "test", "unused")
EDITS = ("exclude", "split", "merge", "rename", "scale", "offset", "unit")
META = "meta."  # prefix of explicit metadata keys

Conversion = Callable[[str, str], tuple[float, float]]  # (source, target) to scale and offset


@dataclass(frozen=True)
class Vocabulary:
    """Valid names of a query.

    Attributes:
        units: unit of each numeric channel.
        convert: (source, target unit) -> scale and offset; raises `BadInput`.
        metadata: known keys; None: every name is a key.
        versions: whether a query can use splits and dataset versions.
    """

    units: Mapping[str, str]
    convert: Conversion
    metadata: Collection[str] | None = None
    versions: bool = True

    def kind(self, operand: Operand) -> Kind:
        """Return the kind of values of a column."""
        if isinstance(operand, Statistic):
            return "number"
        return PROPERTIES.get(operand.name, "metadata")


class Uses(NamedTuple):
    """Columns of a query: properties, metadata keys, and statistics."""

    properties: frozenset[str]
    metadata: frozenset[str]
    statistics: frozenset[Statistic]


def metadata_key(name: str) -> str:
    """Return the metadata key of a name."""
    return name.removeprefix(META)


def uses(query: Query) -> Uses:
    """Return the columns of a query; a status word uses `status`, `edited` its own column."""
    operands = [*_operands(query)]
    names = {one.name for one in operands if isinstance(one, Name)}
    own = frozenset(names & PROPERTIES.keys())
    others = frozenset(metadata_key(name) for name in names - own)
    return Uses(own, others, frozenset(one for one in operands if isinstance(one, Statistic)))


def _operands(query: Query) -> Iterator[Operand]:
    for part in parts_of(query):
        yield from _operands(part)
    match query:
        case Word():
            yield Name("edited" if query.word == "edited" else "status")
        case Among():
            yield query.column
        case Compare():
            yield query.column
            if isinstance(query.value, Name | Statistic):
                yield query.value
        case _:
            pass


def check(query: Query, vocabulary: Vocabulary) -> Query:
    """Validate a query, and return it with numbers in the units of their channels.

    A resolved view is replaced by its query; an unresolved view is not changed.

    Raises:
        QueryError: A name is unknown, or a comparison is invalid.
    """
    match query:
        case And() | Or():
            return replace(query, parts=tuple(check(part, vocabulary) for part in query.parts))
        case Not():
            return Not(check(query.part, vocabulary))
        case View():
            return _check_view(query, vocabulary)
        case Word():
            _check_word(query, vocabulary)
            return query
        case Among():
            _check_name(query.column, vocabulary)
            values = [_checked(query.column, value, vocabulary) for value in query.values]
            return replace(query, values=tuple(values))
        case Compare():
            return _check_comparison(query, vocabulary)


def _check_view(view: View, vocabulary: Vocabulary) -> Query:
    if view.query is None:
        return view
    try:
        return check(view.query, vocabulary)
    except QueryError as error:
        raise error.within(view.name, view.position) from error


def _check_word(word: Word, vocabulary: Vocabulary) -> None:
    if word.word in WORDS:
        return
    name = word.word
    if name in vocabulary.units:
        fix = f"compare a statistic, as in `max({name}) > 1`"
        raise QueryError(word.position, f"`{name}` is a channel, not a condition", fix=fix)
    if name in PROPERTIES:
        raise QueryError(word.position, f"`{name}` has no comparison", fix=_example(name))
    fix = f"{nearest(name, list(WORDS))}; metadata need a comparison, as in `{name} = 'a'`"
    raise QueryError(word.position, f"`{name}` is not a status", fix=fix)


def _example(name: str) -> str:
    examples: dict[Kind, str] = {
        "text": "= 'a'",
        "number": "> 10",
        "time": ">= 2026-11-01",
        "set": "= 'a'",
        "version": "= 3",
        "metadata": "= 'a'",
    }
    return f"write a comparison, such as `{name} {examples[PROPERTIES[name]]}`"


def _check_name(operand: Operand, vocabulary: Vocabulary) -> None:
    if isinstance(operand, Statistic):
        if operand.channel not in vocabulary.units:
            fix = nearest(operand.channel, list(vocabulary.units))
            problem = f"`{operand.channel}` is not a numeric channel"
            raise QueryError(operand.position, problem, fix=fix)
        return
    name = operand.name
    if name in {"split", "version"} and not vocabulary.versions:
        problem = f"`{name}` depends on dataset versions, which this rule defines"
        raise QueryError(operand.position, problem, fix="use a tag or the metadata")
    if name in PROPERTIES:
        return
    if name in vocabulary.units:
        fix = f"use one of min, max, mean and std, as in `max({name})`"
        raise QueryError(operand.position, f"`{name}` is a channel with many values", fix=fix)
    keys, key = vocabulary.metadata, metadata_key(name)
    if not key:
        raise QueryError(operand.position, "the name is empty", expected="a column name")
    if keys is not None and key not in keys:
        names = [*PROPERTIES, *keys] if name == key else list(keys)
        fix = nearest(key, names) if names else "no recording has metadata"
        problem = f"no recording has the property or metadata `{key}`"
        raise QueryError(operand.position, problem, fix=fix)


def _check_comparison(query: Compare, vocabulary: Vocabulary) -> Compare:
    _check_name(query.column, vocabulary)
    kind = vocabulary.kind(query.column)
    if isinstance(query.value, Name | Statistic):
        _check_name(query.value, vocabulary)
        _check_two_columns(query, query.column, query.value, vocabulary)
        return query
    if query.operator == "like" and kind not in {"text", "set", "metadata"}:
        problem = f"`like` compares texts, and {_spell(query.column)} is a {kind}"
        raise QueryError(query.position, problem, expected="=, !=, <, <=, > or >=")
    if kind in {"set", "version"} and query.operator not in {"=", "!=", "like"}:
        problem = f"`{query.operator}` does not apply to {_spell(query.column)}"
        raise QueryError(query.position, problem, expected="=, != or in")
    if query.operator == "like":
        return query
    return replace(query, value=_checked(query.column, query.value, vocabulary))


def _check_two_columns(
    query: Compare, column: Operand, other: Operand, vocabulary: Vocabulary
) -> None:
    kinds = {vocabulary.kind(column), vocabulary.kind(other)}
    if len(kinds) > 1 or not kinds <= {"text", "number", "metadata"}:
        problem = f"{_spell(column)} cannot be compared with {_spell(other)}"
        fix = f"quote it if it is a text: '{_spell(other)}'"
        raise QueryError(query.position, problem, expected="two numbers or two texts", fix=fix)


def _checked(column: Operand, value: Literal, vocabulary: Vocabulary) -> Literal:
    """Return a literal converted for its column."""
    kind = vocabulary.kind(column)
    if isinstance(value, Number) and value.unit and kind != "number":
        problem = f"{_spell(column)} has no unit"
        raise QueryError(value.position, problem, expected="a number without a unit")
    if kind == "number":
        return _checked_number(column, value, vocabulary)
    if kind == "time":
        return _checked_date(value)
    if kind == "version":
        _check_version(value)
    elif kind in {"text", "set"} and not isinstance(value, Text):
        fix = f"write '{spelled(value)}'"
        raise QueryError(value.position, f"{_spell(column)} is a text", expected="a text", fix=fix)
    if isinstance(column, Name) and isinstance(value, Text):
        _check_choice(column.name, value)
    return value


def _checked_number(column: Operand, value: Literal, vocabulary: Vocabulary) -> Number:
    if not isinstance(value, Number):
        problem = f"{_spell(column)} is a number, but {value.value!r} is not"
        raise QueryError(value.position, problem, expected="a number without quotes")
    if not value.unit:
        return value
    own = "s" if column == Name("seconds") else ""
    if isinstance(column, Statistic):
        own = vocabulary.units[column.channel]
    if not own:
        problem = f"{_spell(column)} has no unit"
        raise QueryError(value.position, problem, expected="a number without a unit")
    try:
        scale, offset = vocabulary.convert(value.unit, own)
    except BadInput as error:
        raise QueryError(
            value.position, str(error), expected=f"a unit that converts to {own}"
        ) from error
    if isinstance(column, Statistic) and column.function == "std":
        offset = 0.0  # a difference in °C is one in K
    return Number(repr(scale * value.value + offset), own, value.position)


def _checked_date(value: Literal) -> Literal:
    if isinstance(value, Text | Date) and read_span(value.value) is not None:
        return value
    problem = f"`{spelled(value)}` is not a date"
    expected = "a date or time such as 2026-11-01 or 2026-11-01T14:30"
    raise QueryError(value.position, problem, expected=expected)


def _check_version(value: Literal) -> None:
    is_number = isinstance(value, Number) and not value.unit and value.digits.isdecimal()
    if not is_number and value != Text("latest"):
        problem = "is not a dataset version"
        expected = "a number such as 3, or 'latest'"
        raise QueryError(value.position, f"`{spelled(value)}` {problem}", expected=expected)


def _check_choice(name: str, value: Text) -> None:
    """Check a text with a fixed set of values."""
    choices = {"status": (*STATUSES, NOT_VALIDATED), "split": SPLITS, "edited": EDITS}.get(name)
    if choices and value.value not in choices:
        fix = nearest(value.value, list(choices))
        raise QueryError(value.position, f"{value.value!r} is not a valid {name}", fix=fix)


def _spell(operand: Operand) -> str:
    return operand.column if isinstance(operand, Statistic) else operand.name
