"""Compile a checked query to a polars expression; a comparison with a missing value is false."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce

import polars as pl

from kinemill.query.checks import META, NOT_VALIDATED, PROPERTIES, metadata_key
from kinemill.query.dates import read_span
from kinemill.query.syntax import (
    Among,
    And,
    Compare,
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
    spelled,
)

_VERSION = r"v?[0-9]{1,15}(?:\.[0-9]{1,15}){0,7}"
_PARTS = 8  # numbers of a version that are compared


@dataclass(frozen=True)
class Context:
    """Data that a query needs besides the columns of each row.

    Attributes:
        members: content hashes of the recordings of each dataset version that the query names.
        distinct: returns the distinct values of a column.
    """

    members: Mapping[str, pl.Series]
    distinct: Callable[[str], pl.Series]


def column_of(operand: Operand) -> str:
    """Return the column of the view that holds a property, a key of the metadata or a statistic."""
    if isinstance(operand, Statistic):
        return operand.column
    if operand.name in PROPERTIES:
        return operand.name
    return f"{META}{metadata_key(operand.name)}"


def compile_query(query: Query, context: Context) -> pl.Expr:
    """Return a query as an expression of booleans without nulls."""
    match query:
        case And():
            return pl.all_horizontal(*(compile_query(part, context) for part in query.parts))
        case Or():
            return pl.any_horizontal(*(compile_query(part, context) for part in query.parts))
        case Not():
            return compile_query(query.part, context).not_()
        case View():
            raise AssertionError(query.name)  # `check` replaced it
        case Word():
            return _compile_word(query.word)
        case Among():
            tests = [_compare(query.column, "=", value, context) for value in query.values]
            return reduce(pl.Expr.or_, tests).fill_null(value=False)
        case Compare():
            test = _compare(query.column, query.operator, query.value, context)
            return test.fill_null(value=False)


def _compile_word(word: str) -> pl.Expr:
    if word == "edited":
        return pl.col("edited").list.len() > 0
    validated = pl.col("status") != NOT_VALIDATED
    return validated if word == "validated" else pl.col("status") == word


def _compare(
    operand: Operand, operator: str, other: Operand | Literal, context: Context
) -> pl.Expr:
    column = pl.col(column_of(operand))
    if isinstance(other, Name | Statistic):
        return _apply(column, operator, pl.col(column_of(other)))
    kind = "number" if isinstance(operand, Statistic) else PROPERTIES.get(operand.name, "metadata")
    value = spelled(other)
    match kind:
        case "version":
            test = pl.col("recording").is_in(context.members[value].implode())
            return test.not_() if operator == "!=" else test
        case "set":
            return _compare_set(column, operator, value)
        case "time":
            return _compare_time(column, operator, value)
        case "number":
            return _apply(column, operator, pl.lit(float(value)))
        case _:
            return _compare_text(column_of(operand), operator, other, context)


def _compare_text(name: str, operator: str, literal: Literal, context: Context) -> pl.Expr:
    """Compare a text; metadata also compare as numbers and versions, if the literal is one."""
    column, value = pl.col(name), spelled(literal)
    if operator == "like":
        return column.str.contains(_glob(value))
    if isinstance(literal, Number):
        return _apply(column.cast(pl.Float64, strict=False), operator, pl.lit(literal.value))
    if name.startswith(META) and operator not in {"=", "!="} and _is_version(literal):
        texts = matching_versions(context.distinct(name), operator, value)
        return column.is_in(texts.implode())
    return _apply(column, operator, pl.lit(value))


def _apply(column: pl.Expr, operator: str, value: pl.Expr) -> pl.Expr:
    match operator:
        case "=":
            return column == value
        case "!=":
            return column != value
        case "<":
            return column < value
        case "<=":
            return column <= value
        case ">":
            return column > value
        case ">=":
            return column >= value
        case _:
            raise AssertionError(operator)


def _compare_set(column: pl.Expr, operator: str, value: str) -> pl.Expr:
    if operator == "like":
        return column.list.eval(pl.element().str.contains(_glob(value))).list.any()
    test = column.list.contains(value)
    return test.not_() if operator == "!=" else test


def _compare_time(column: pl.Expr, operator: str, value: str) -> pl.Expr:
    """Compare with a span of time: `= 2026-11-01` is the whole day, `> 2026-11-01` is after it."""
    span = read_span(value)
    if span is None:
        raise AssertionError(value)
    start, stop = (pl.lit(end, pl.Datetime("us", "UTC")) for end in span)
    match operator:
        case "<" | ">=":
            return _apply(column, operator, start)
        case "<=":
            return column < stop
        case ">":
            return column >= stop
        case _:
            test = (column >= start) & (column < stop)
            return test.not_() if operator == "!=" else test


def _glob(pattern: str) -> str:
    """Return a pattern with * and ? as a regular expression of polars (Rust)."""
    parts = {"*": ".*", "?": "."}
    return "(?s)^" + "".join(parts.get(one) or _escape(one) for one in pattern) + r"\z"


def _escape(character: str) -> str:
    return f"\\{character}" if character in r"\.+()|[]{}^$#&-~" else character


def _is_version(value: Literal) -> bool:
    return isinstance(value, Text) and re.fullmatch(_VERSION, value.value) is not None


def matching_versions(texts: pl.Series, operator: str, value: str) -> pl.Series:
    """Return those of some texts that are versions and fit a comparison such as `>= 2.9`.

    Versions are compared number by number, so that 2.10 is after 2.9; missing numbers are 0. A text
    that is no version is in no range.
    """
    versions = texts.filter(texts.str.contains(rf"^{_VERSION}$"))
    names = [str(index) for index in range(_PARTS + 1)]
    parts = versions.str.strip_prefix("v").str.split_exact(".", _PARTS)
    fields = parts.struct.rename_fields(names).struct.unnest()
    numbers = fields.select(pl.col(names).cast(pl.Int64, strict=False).fill_null(0))
    limits = [int(part) for part in value.removeprefix("v").split(".")]
    test = pl.lit(operator in {"<=", ">="})
    for index in reversed(range(_PARTS)):
        number, part = pl.col(names[index]), limits[index] if index < len(limits) else 0
        test = _apply(number, operator[0], pl.lit(part)) | ((number == part) & test)
    return versions.filter(numbers.select(test.alias("test"))["test"])
