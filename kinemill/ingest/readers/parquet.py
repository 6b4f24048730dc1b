"""Parquet logs: one row per timestamp, one column per channel, or vectors of them (`state[3]`).

Files of LeRobot data sets, recognized by their columns, are split into episodes. Images (PNG or
JPEG, as bytes or as LeRobot's struct of bytes and path) and texts are columns as well. pyarrow
reads the bytes, because polars crashes on some damaged files.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import polars as pl

from kinemill.ingest.raw import (
    TICKS,
    TIME,
    About,
    Images,
    RawLog,
    Reader,
    Texts,
    Unreadable,
    elements,
    match_columns,
    reason,
    row_numbers,
)
from kinemill.ingest.readers._arrays import LARGEST, WIDEST, damaged_file
from kinemill.ingest.readers._attributes import columns_of_parquet, of_parquet
from kinemill.ingest.readers._lerobot import COUNTERS, episodes
from kinemill.ingest.readers._lerobot_meta import about as about_lerobot
from kinemill.ingest.readers._lerobot_meta import dataset_of
from kinemill.ingest.readers._table_media import is_picture, media_columns, read_media
from kinemill.task import Task
from kinemill.task.plugins import READERS

MAGIC = b"PAR1"
# Exceptions of Arrow; polars panics on some damaged files, with an exception that is no Exception.
_DAMAGE = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    MemoryError,
    NotImplementedError,
)


@dataclass(frozen=True)
class _Column:
    """The source of a name in the header."""

    name: str
    kind: pl.DataType
    expression: pl.Expr
    stored: str  # column of the file
    width: int = 1  # numbers per row


def read(path: Path, task: Task) -> RawLog | list[RawLog]:
    """Read one Parquet file, with columns matched by name; split one of LeRobot into its episodes.

    Values keep the units of the log. A time column (`datetime`, `duration`) keeps its own unit; a
    plain number is in `ingest.time_unit`.

    Raises:
        Unreadable: the file is damaged, a column is missing, or one holds no numbers.
    """
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            schema = _frame(file.schema_arrow.empty_table()).schema
            counters = COUNTERS if set(schema) >= set(COUNTERS) else []
            log, counts = _read(file, schema, counters, task)
    except _DAMAGE as error:
        raise damaged_file("Parquet", error) from error
    return episodes(log, counts) if counters else log


def _frame(table: object) -> pl.DataFrame:
    return cast(pl.DataFrame, pl.from_arrow(table))


def _read(
    file: Any, schema: Mapping[str, pl.DataType], extra: list[str], task: Task
) -> tuple[RawLog, pl.DataFrame]:
    """Read the columns that the task requests, and the columns `extra`."""
    header = _header(file, schema, task)
    matched = match_columns([column.name for column in header], task)
    selected = {channel: header[index] for channel, index in matched.channels.items()}
    rows = int(file.metadata.num_rows)
    _refuse_text({channel: column.kind for channel, column in selected.items()})
    _refuse_size(rows, sum(column.width for column in selected.values()))
    expressions = [c.expression.cast(pl.Float64).alias(channel) for channel, c in selected.items()]
    stored, ticks = {*extra, *(c.stored for c in selected.values())}, matched.rate or 1.0
    if matched.time is not None:
        stamps = header[matched.time].name
        time, ticks = _time(stamps, schema, task)
        expressions, stored = [time.alias(TIME), *expressions], {*stored, stamps}
    media = media_columns(schema, task)
    whole = _frame(file.read(columns=sorted({*stored, *media.values()})))
    frame, contents = whole.select(expressions), dict[str, Images | Texts]()
    if matched.time is None:
        frame = frame.insert_column(0, row_numbers(rows))
    for channel, name in media.items():
        contents[channel], references = read_media(whole[name], channel, task)
        frame = frame.with_columns(references)
    return RawLog(frame, matched.sources, ticks, media=contents), whole.select(extra)


def _header(file: object, schema: Mapping[str, pl.DataType], task: Task) -> list[_Column]:
    """List all columns, and the elements of vectors."""
    sources = [source.name for channel in task.channels.values() for source in channel.source]
    vectors = {name.rpartition("[")[0] for name in [*sources, *task.channels] if "[" in name}
    header: list[_Column] = []
    for name, kind in schema.items():
        header.append(_Column(name, kind, pl.col(name), name))
        vector = isinstance(kind, pl.Array | pl.List)
        if not vector or (name not in vectors and task.channels):
            continue
        width, inner = _width(file, name, kind), cast(pl.DataType, kind.inner)
        for index, element in enumerate(elements(name, min(width, WIDEST))):
            column = pl.col(name)
            get = column.arr.get if isinstance(kind, pl.Array) else column.list.get
            one = get(index, null_on_oob=True)
            header.append(_Column(element, inner, one, name, width))
    return header


def _width(file: Any, name: str, kind: pl.Array | pl.List) -> int:
    if isinstance(kind, pl.Array):
        return kind.shape[0]
    lengths = _frame(file.read(columns=[name])).select(pl.col(name).list.len().max())
    return int(lengths.item() or 0)


def _refuse_text(kinds: Mapping[str, pl.DataType]) -> None:
    reasons = [
        reason(
            "number",
            "column",
            f"holds {_type_name(kind)}",
            channel=channel,
            expected="numbers",
            fix=_fix(kind),
        )
        for channel, kind in kinds.items()
        if not (kind.is_numeric() or kind == pl.Boolean)
    ]
    if reasons:
        raise Unreadable(*reasons)


def _type_name(kind: pl.DataType) -> str:
    return f"images ({kind})" if is_picture(kind) else str(kind)


def _fix(kind: pl.DataType) -> str:
    if isinstance(kind, pl.Array | pl.List):
        return "name one element at `source`, such as `state[0]`"
    if is_picture(kind):
        return "a channel of images has `role: image`"
    return "write the column as float64"


def _refuse_size(rows: int, width: int) -> None:
    if rows * width * 8 > LARGEST:
        raise Unreadable(
            reason(
                "size",
                "file",
                f"declares {rows} rows, {rows * width * 8:.3g} bytes",
                expected=f"at most {LARGEST:.3g} bytes for all channels",
                fix="cut the log into shorter files, or name fewer channels",
            )
        )


def _time(name: str, schema: Mapping[str, pl.DataType], task: Task) -> tuple[pl.Expr, float]:
    """Return the timestamps as Int64 or Float64, and their ticks per second."""
    kind, column = schema[name], pl.col(name)
    if isinstance(kind, pl.Datetime | pl.Duration):
        return column.cast(pl.Int64), TICKS[kind.time_unit or "us"]
    _refuse_text({"time": kind})
    wide = column.cast(pl.Int64 if kind.is_integer() else pl.Float64)
    return wide, task.ingest.ticks


def _about(path: Path) -> About:
    """Return labels and tasks of a LeRobot data set, and units and valid ranges of the columns."""
    return replace(about_lerobot(path), columns=columns_of_parquet(path))


READERS.register("parquet")(
    Reader(
        (".parquet", ".pq"),
        lambda head: head.startswith(MAGIC),
        read,
        describes=lambda path: dataset_of(path, "meta") is not None,
        about=_about,
        attributes=of_parquet,
    )
)
