"""Queries of recordings: SQL conditions that polars evaluates on the columns of the view.

    query = parse("robot = 'r7' and max(angle) > 20 deg", Vocabulary(units, factor))

The text is rewritten before polars parses it: `max(angle)` becomes the column of this statistic,
`20 deg` a number in the unit of the channel, and a date that `start` is compared with a timestamp
in UTC. Functions are those of `_FUNCTIONS`, so that no query reads a table or a file.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from kinemill.errors import BadInput
from kinemill.registry import nearest

META = "meta."  # prefix of the columns of metadata
NOT_VALIDATED = "not validated"
STATUSES = ("accepted", "partly", "quarantined", "released", "rejected", "superseded", "merged")
STATISTICS = ("min", "max", "mean", "std")
LONGEST = 10_000  # longest query, characters; polars limits the nesting
# Properties with a value of their type, which a query is tried on before it reads data.
PROPERTIES: dict[str, str | int | float | datetime | list[str]] = {
    "recording": "x",
    "name": "x",
    "status": "x",
    "bytes": 1,
    "rows": 1,
    "dropped_rows": 1,
    "seconds": 1.0,
    "episodes": 1,
    "start": datetime(2026, 1, 1),  # noqa: DTZ001 (UTC; SQL timestamps have no time zone)
    "found": ["x"],
    "tag": ["x"],
    "edited": ["x"],
    "split": ["x"],
    "version": ["x"],
}
_CHOICES = {
    "status": (*STATUSES, NOT_VALIDATED),
    "split": ("train", "validation", "test", "unused"),
    "edited": ("exclude", "split", "merge", "rename", "scale", "offset", "unit"),
}
_FUNCTIONS = frozenset({
    "abs", "array_contains", "array_length", "ceil", "coalesce", "concat", "date_part",
    "ends_with", "floor", "greatest", "least", "left", "length", "lower", "nullif", "replace",
    "right", "round", "sqrt", "starts_with", "strpos", "substr", "trim", "try_cast", "upper",
})  # fmt: skip
_OPERATORS = frozenset({
    "and", "or", "not", "in", "between", "like", "ilike", "is", "case", "when", "then", "else",
    "end", "as",
})  # fmt: skip
_LITERALS = frozenset(["date", "false", "interval", "null", "timestamp", "true"])
_MARKS = frozenset("(),.=<>!+-*/%|")
_FORBIDDEN = frozenset(["select", "from", "with", "values", "table", "over"])
_PATTERN = re.compile(
    rf"""
      (?P<text>'(?:[^']|'')*')
    | \b(?P<function>{"|".join(STATISTICS)})\s*\(\s*
      (?P<channel>[^\W\d][\w.]*|"[^"]+"|`[^`]+`)\s*\)
    | (?P<quoted>"[^"]*"|`[^`]*`)
    | (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)
      (?:(?!\s*(?:{"|".join(_OPERATORS)})\b)\s*(?P<unit>(?:[^\W\d_]|[°%])[\w°%*/^·.]*))?
    | (?P<word>[^\W\d]\w*)(?P<call>\s*\()?
    | (?P<mark>--|//|/\*|\S)
    """,
    re.VERBOSE | re.IGNORECASE,
)


class QueryError(BadInput):
    """A query is invalid."""

    def __init__(
        self, problem: str, *, expected: str | None = None, fix: str | None = None
    ) -> None:
        super().__init__("query", problem, expected=expected, fix=fix)

    @property
    def message(self) -> str:
        """The error without `query`, for a setting with a query."""
        return str(self).removeprefix("query: ")


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
    convert: Callable[[str, str], tuple[float, float]]
    metadata: Collection[str] | None = None
    versions: bool = True

    def find_column(self, name: str) -> str:
        """Return the column of the view for a name in a query.

        Raises:
            QueryError: The name is unknown.
        """
        if name in {"split", "version"} and not self.versions:
            problem = f"`{name}` depends on dataset versions, which this rule defines"
            raise QueryError(problem, fix="use a tag or the metadata")
        statistics = [f"{function}({channel})" for channel in self.units for function in STATISTICS]
        if name in PROPERTIES or name in statistics:
            return name
        key = name.removeprefix(META)
        if self.metadata is not None and key in self.metadata:
            return META + key
        if name in self.units:
            fix = f"use one of min, max, mean and std, as in `max({name})`"
            raise QueryError(f"`{name}` is a channel with many values", fix=fix)
        if name in STATUSES:
            raise QueryError(f"`{name}` is a status", fix=f"write `status = '{name}'`")
        if self.metadata is None and key not in {"", "meta"}:
            return META + key
        fix = nearest(name, [*PROPERTIES, *(self.metadata or ())])
        if name == "meta":
            fix = 'quote the whole name, such as "meta.robot"'
        problem = f"no recording has the property or metadata `{name}`"
        expected = "a column; texts are in single quotes, keys with other characters in double ones"
        raise QueryError(problem, expected=expected, fix=fix)


@dataclass(frozen=True)
class Query:
    """A validated query.

    Attributes:
        sql: condition for `polars.sql_expr`, over the names of `columns`.
        columns: column of the view for each name in the query.
        versions: dataset versions that the query names.
    """

    sql: str
    columns: Mapping[str, str]
    versions: tuple[str, ...]


def parse(text: str, vocabulary: Vocabulary) -> Query:
    """Return the query of a text.

    Raises:
        QueryError: The text is not a condition, or a name, unit or date is invalid.
    """
    import polars as pl  # loading a task without a query needs no polars

    if len(text) > LONGEST:
        fix = "add a tag to these recordings, and query the tag"
        raise QueryError(
            f"the query has {len(text)} characters", expected=f"at most {LONGEST}", fix=fix
        )
    example = "a SQL condition such as `robot = 'r7' and max(torque) > 20`"
    rewriter = _Rewriter(vocabulary)
    sql = _PATTERN.sub(rewriter.rewrite, text)
    try:
        condition = pl.sql_expr(sql)
    except pl.exceptions.PolarsError as error:
        raise QueryError(_first_line(error), expected=example) from error
    if condition.meta.has_multiple_outputs() or condition.meta.undo_aliases().meta.ne(condition):
        raise QueryError(f"{text[:200]!r} is more than one condition", expected=example)
    columns = {name: vocabulary.find_column(name) for name in condition.meta.root_names()}
    if "version" in columns and not rewriter.versions:
        raise QueryError("`version` has no number", fix="write `array_contains(version, 3)`")
    row = pl.DataFrame([{"recording": "x"} | {name: _example(columns[name]) for name in columns}])
    try:
        kind = row.select(condition).dtypes[0]
    except pl.exceptions.PolarsError as error:
        fix = "TRY_CAST(batch AS DOUBLE) reads metadata as numbers"
        raise QueryError(_first_line(error), expected="values of one type", fix=fix) from error
    if kind != pl.Boolean:
        raise QueryError(f"{text[:200]!r} is a value, not a condition", expected=example)
    return Query(sql, columns, tuple(dict.fromkeys(rewriter.versions)))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]


def _example(column: str) -> object:
    """Return a value of the type of a column."""
    return PROPERTIES.get(column, "x" if column.startswith(META) else 1.0)


class _Rewriter:
    """Replacement of the tokens of a query in order.

    Attributes:
        versions: dataset versions that were read.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._column = ""  # with which the next value is compared
        self._is_range = False  # between `between` and its `and`
        self._last_mark = ""
        self.versions: list[str] = []

    def rewrite(self, token: re.Match[str]) -> str:
        """Return the SQL of a token."""
        if token["text"] or token["number"]:
            number = token["number"]
            value = self._number(number, token["unit"] or "") if number else self._text(token[0])
            self._last_mark = ""
            return value
        if token["word"]:
            self._word(token["word"].lower(), is_call=token["call"] is not None)
        if token["function"]:
            return self._statistic(token["function"].lower(), token["channel"].strip('"`'))
        if name := token["quoted"] or token["word"]:
            if token["word"] and self._column and self._last_mark in {"=", ">", "<"}:
                self._check_value(name)
            elif name.lower() not in {"between", "in", "not", "and"}:
                self._column = name.strip('"`')
            self._last_mark = '"' if token["quoted"] else ""
            return token[0]
        self._mark(token[0])
        return token[0]

    def _word(self, word: str, *, is_call: bool) -> None:
        allowed = _FUNCTIONS | _OPERATORS
        if word in _FORBIDDEN or (is_call and word not in allowed):
            fix = nearest(word, sorted(_FUNCTIONS | {*STATISTICS}))
            raise QueryError(f"`{word}` is not a function of queries", fix=fix)
        if word == "and" and not self._is_range:
            self._column = ""
        self._is_range = word == "between" or (self._is_range and word != "and")

    def _check_value(self, word: str) -> None:
        """Raise if a word behind a comparison is no column, but a text without quotes."""
        if word.lower() in _FUNCTIONS | _OPERATORS | _LITERALS:
            self._column = word  # a date behind `DATE` has its own type
            return
        try:
            self._vocabulary.find_column(word)
        except QueryError as error:
            is_list = isinstance(PROPERTIES.get(self._column), list)
            fix = f"array_contains({self._column}, '{word}')" if is_list else f"'{word}'"
            problem = f"`{word}` is a text without quotes"
            raise QueryError(problem, fix=f"write `{fix}`") from error

    def _mark(self, mark: str) -> None:
        # Comments and other quotes could hide a subquery; `~` and `::` fail for single recordings.
        if mark not in _MARKS or (mark == "(" and self._last_mark == '"'):
            expected = "operators, closed quotes, LIKE for patterns and TRY_CAST for types"
            raise QueryError(f"`{mark}` is not valid here", expected=expected)
        self._last_mark = mark

    def _statistic(self, function: str, channel: str) -> str:
        if channel not in self._vocabulary.units:
            fix = nearest(channel, list(self._vocabulary.units))
            raise QueryError(f"`{channel}` is not a numeric channel", fix=fix)
        self._column = f"{function}({channel})"
        return f'"{self._column}"'

    def _text(self, literal: str) -> str:
        value = literal[1:-1].replace("''", "'")
        column = self._column
        if column == "start":
            return _timestamp(value)
        is_list = isinstance(PROPERTIES.get(column), list)
        if is_list and self._last_mark != ",":
            fix = f"write `array_contains({column}, {literal})`"
            raise QueryError(f"`{column}` is a list", fix=fix)
        if column == "version":
            return self._version(value)
        choices = _CHOICES.get(column)
        if choices and value not in choices and "%" not in value:
            fix = nearest(value, list(choices))
            raise QueryError(f"{value!r} is not a valid {column}", fix=fix)
        return literal

    def _number(self, digits: str, unit: str) -> str:
        if self._column == "start":
            raise QueryError(f"`{digits}` is not a date", expected="a date such as '2026-11-01'")
        if self._column == "version":
            if self._last_mark != ",":
                fix = f"write `array_contains(version, {digits})`"
                raise QueryError("`version` is a list", fix=fix)
            return self._version(digits)
        if not unit:
            return digits
        function, _, channel = self._column.partition("(")
        units = self._vocabulary.units
        target = "s" if function == "seconds" else units.get(channel.removesuffix(")"), "")
        if not target:
            problem = f"{digits} {unit} has a unit, but no column with a unit is before it"
            raise QueryError(problem, expected="such as `max(angle) > 20 deg`")
        try:
            scale, offset = self._vocabulary.convert(unit, target)
        except BadInput as error:
            raise QueryError(str(error), expected=f"a unit that converts to {target}") from error
        # A difference in °C is one in K.
        return repr(scale * float(digits) + (0.0 if function == "std" else offset))

    def _version(self, value: str) -> str:
        if value != "latest" and not value.isdecimal():
            expected = "a number such as 3, or 'latest'"
            raise QueryError(f"`{value}` is not a dataset version", expected=expected)
        self.versions.append(value)
        return f"'{value}'"


def _timestamp(text: str) -> str:
    """Return the SQL timestamp of a date or time in ISO 8601; without an offset it is in UTC."""
    try:
        time = datetime.fromisoformat(text.strip())
        utc = time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        expected = "a date or time such as '2026-11-01' or '2026-11-01T14:30'"
        raise QueryError(f"{text!r} is not a date", expected=expected) from error
    return f"TIMESTAMP '{utc:%Y-%m-%d %H:%M:%S.%f}'"
