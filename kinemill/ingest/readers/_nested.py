"""Columns of nested tables: fields of structs (`cmd.left`) and elements of vectors (`gyro[2]`)."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

import polars as pl

from kinemill.ingest.raw import (
    SUBSECONDS,
    TICKS,
    TIME,
    Columns,
    RawLog,
    Unreadable,
    elements,
    join_stamps,
    match_columns,
    reason,
    row_numbers,
)
from kinemill.ingest.readers._arrays import WIDEST
from kinemill.ingest.readers._table_media import is_picture, media_columns, with_media
from kinemill.ingest.text_values import parse_dates
from kinemill.task import Task


@dataclass(frozen=True)
class TableColumn:
    """The source of a name in the header.

    Attributes:
        name: path of the field, such as `imu.gyro[2]`.
        kind: type of its values.
        expression: expression that selects it from the table.
        stored: column of the file that holds it.
        width: numbers per row that have to be read.
    """

    name: str
    kind: pl.DataType
    expression: pl.Expr
    stored: str
    width: int = 1


def list_columns(
    schema: Mapping[str, pl.DataType], width_of: Callable[[TableColumn], int], task: Task | None
) -> list[TableColumn]:
    """Return all columns, the fields of structs and the elements of vectors.

    Without a task or its channels, a struct or a vector is listed by its content alone. Otherwise
    only the vectors that the task names are listed by element, because this can require reading
    them.

    Args:
        schema: types of the columns of the file.
        width_of: function that returns the largest number of elements of a vector of varying
            length.
        task: task with the channels, if there is one.
    """
    channels = task.channels if task else {}
    sources = [source.name for channel in channels.values() for source in channel.source]
    vectors = {
        name[: match.start()]
        for name in [*sources, *channels]
        for match in re.finditer(r"\[", name)
    }

    def content(column: TableColumn) -> Iterator[TableColumn]:
        kind = column.kind
        name = column.name
        if isinstance(kind, pl.Struct) and not is_picture(kind):
            for field in kind.fields:
                inner = cast(pl.DataType, field.dtype)
                get = column.expression.struct.field
                yield from listed(
                    TableColumn(f"{name}.{field.name}", inner, get(field.name), column.stored)
                )
        elif isinstance(kind, pl.Array | pl.List) and (name in vectors or not channels):
            for element in _elements(column, kind, width_of):
                is_nested = isinstance(element.kind, pl.Struct | pl.Array | pl.List)
                yield from content(element) if is_nested else [element]

    def listed(column: TableColumn) -> Iterator[TableColumn]:
        inside = list(content(column))
        if channels or not inside:
            yield column
        yield from inside

    top = (TableColumn(name, kind, pl.col(name), name) for name, kind in schema.items())
    return [nested for column in top for nested in listed(column)]


def read_table(whole: pl.DataFrame, task: Task) -> RawLog:
    """Return the columns of a table that the task requests, with fields matched by their path.

    Args:
        whole: all columns of the log (n, columns), in its units.
        task: task with the channels.

    Raises:
        Header: The task has no channels.
        Unreadable: A column is missing, or holds no numbers.
    """
    width = partial(_width, whole)
    return read_columns(whole.schema, width, lambda *_: whole, whole.height, task)[0]


def flat(whole: pl.DataFrame) -> pl.DataFrame:
    """Return a table with a column for each field of a struct and each element of a vector."""
    columns = list_columns(whole.schema, partial(_width, whole), None)
    return whole.select(column.expression.alias(column.name) for column in columns)


def _width(whole: pl.DataFrame, column: TableColumn) -> int:
    return int(whole.select(column.expression.list.len().max()).item() or 0)


def read_columns(
    schema: Mapping[str, pl.DataType],
    width_of: Callable[[TableColumn], int],
    load: Callable[[set[str], int], pl.DataFrame],
    rows: int,
    task: Task,
    videos: Mapping[str, str] | None = None,
) -> tuple[RawLog, pl.DataFrame]:
    """Return the columns that the task requests, and the table that was loaded for them.

    Args:
        schema: types of the columns of the file.
        width_of: function that returns the largest number of elements of a vector.
        load: function that returns columns of the file, by their names and the numbers in a row.
        rows: number of rows.
        task: task with the channels.
        videos: channels that are not columns, and the feature of each.

    Raises:
        Header: The task has no channels.
        Unreadable: A column is missing, or holds no numbers.
    """
    header = list_columns(schema, width_of, task)
    matched = match_columns([column.name for column in header], task)
    expressions, ticks = expressions_of(header, matched, task)
    media = media_columns(schema, task, videos)
    indices = [*matched.channels.values(), *matched.stamps.values()]
    stored = {*media.values(), *(header[index].stored for index in indices)}
    whole = load(stored, sum(header[index].width for index in matched.channels.values()))
    frame, ticks = join_stamps(whole.select(expressions), matched.per_second, ticks)
    if matched.time is None:
        frame = frame.insert_column(0, row_numbers(rows))
    frame, contents = with_media(frame, whole, media, task)
    return RawLog(frame, matched.sources, ticks, media=contents), whole


def _elements(
    column: TableColumn, kind: pl.Array | pl.List, width_of: Callable[[TableColumn], int]
) -> Iterator[TableColumn]:
    width = kind.shape[0] if isinstance(kind, pl.Array) else width_of(column)
    expression = column.expression
    get = expression.arr.get if isinstance(kind, pl.Array) else expression.list.get
    for index, name in enumerate(elements(column.name, min(width, WIDEST))):
        element = get(index, null_on_oob=True)
        yield TableColumn(name, cast(pl.DataType, kind.inner), element, column.stored, width)


def _refuse_text(columns: Mapping[str, TableColumn]) -> None:
    """Check that the columns of channels hold numbers.

    Raises:
        Unreadable: A column holds no numbers; each one has a reason.
    """
    reasons = [
        reason(
            "number",
            f"column {column.name}",
            f"holds {_type_name(column.kind)}",
            channel=channel,
            expected="numbers",
            fix=_fix(column),
        )
        for channel, column in columns.items()
        if not (column.kind.is_numeric() or column.kind == pl.Boolean)
    ]
    if reasons:
        raise Unreadable(*reasons)


def _type_name(kind: pl.DataType) -> str:
    return f"images ({kind})" if is_picture(kind) else str(kind)


def _fix(column: TableColumn) -> str:
    kind = column.kind
    if isinstance(kind, pl.Array | pl.List):
        return "name one element at `source`, such as `state[0]`"
    if is_picture(kind):
        return "a channel of images has `role: image`"
    if isinstance(kind, pl.Struct):
        return f"name one field at `source`, such as `{column.name}.{kind.fields[0].name}`"
    return "write the column as float64"


def expressions_of(
    header: list[TableColumn], matched: Columns, task: Task
) -> tuple[list[pl.Expr], float]:
    """Return the expressions of the timestamps, if any, and the channels, and ticks per second.

    Raises:
        Unreadable: A channel holds no numbers.
    """
    selected = {channel: header[index] for channel, index in matched.channels.items()}
    _refuse_text(selected)
    channels = [column.expression.cast(pl.Float64).alias(name) for name, column in selected.items()]
    if matched.time is None:
        return channels, matched.rate or 1.0
    time, ticks = _timestamps(header[matched.time], task)
    if matched.rest is not None and header[matched.rest].kind.is_numeric():
        channels.append(header[matched.rest].expression.alias(SUBSECONDS))
    return [time.alias(TIME), *channels], ticks


def _timestamps(column: TableColumn, task: Task) -> tuple[pl.Expr, float]:
    """Return timestamps as Int64 or Float64, and their ticks per second."""
    kind = column.kind
    expression = column.expression
    if isinstance(kind, pl.Datetime | pl.Duration):
        return expression.cast(pl.Int64), TICKS[kind.time_unit or "us"]
    if kind == pl.Time:
        return expression.cast(pl.Int64), TICKS["ns"]
    if kind == pl.String:
        return expression.map_batches(parse_dates, return_dtype=pl.Int64), TICKS["ns"]
    _refuse_text({"time": column})
    return expression.cast(pl.Int64 if kind.is_integer() else pl.Float64), task.ingest.ticks
