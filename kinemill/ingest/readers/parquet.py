"""Parquet logs: one row per time stamp, one numeric column per channel."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from kinemill.ingest.raw import TICKS, TIME, RawLog, Reader, Unreadable, match_columns, reason
from kinemill.spec import Task
from kinemill.spec.plugins import READERS

MAGIC = b"PAR1"
# polars panics on some damaged files; its exception is no Exception.
_DAMAGE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


def read(path: Path, task: Task) -> RawLog:
    """Read one Parquet file, columns matched by name.

    Values keep the log's own units. A column of time stamps (`datetime`, `duration`) keeps its own
    unit too; a plain number is in `ingest.time_unit`.

    Raises:
        Unreadable: the file is damaged, a column is missing, or one holds no numbers.
    """
    try:
        log = pl.scan_parquet(path, glob=False)  # a home may be called `runs[2]`
        schema = log.collect_schema()
        columns = match_columns(list(schema), task)
        names = list(schema)
        kinds = {channel: schema[names[place]] for channel, place in columns.channels.items()}
        _refuse_text(kinds)
        time, ticks = _time(names[columns.time], schema, task)
        wanted = [
            pl.col(names[at]).cast(pl.Float64).alias(channel)
            for channel, at in columns.channels.items()
        ]
        frame = log.select(time.alias(TIME), *wanted).collect()
    except _DAMAGE as error:
        raise Unreadable(
            reason(
                "format",
                "file",
                f"is no whole Parquet file ({_first_line(error)})",
                expected="a file that polars or pyarrow can read",
                fix="copy it from the robot again",
            )
        ) from error
    return RawLog(frame, columns.sources, ticks)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["no message"])[0]


def _refuse_text(kinds: dict[str, pl.DataType]) -> None:
    reasons = [
        reason(
            "number",
            "column",
            f"holds {kind}",
            channel=channel,
            expected="numbers",
            fix="write the column as float64",
        )
        for channel, kind in kinds.items()
        if not (kind.is_numeric() or kind == pl.Boolean)
    ]
    if reasons:
        raise Unreadable(*reasons)


def _time(name: str, schema: Mapping[str, pl.DataType], task: Task) -> tuple[pl.Expr, float]:
    """Return the stamps as Int64 or Float64, and how many of their units make a second."""
    kind, column = schema[name], pl.col(name)
    if isinstance(kind, pl.Datetime | pl.Duration):
        return column.cast(pl.Int64), TICKS[kind.time_unit or "us"]
    _refuse_text({"time": kind})
    wide = column.cast(pl.Int64 if kind.is_integer() else pl.Float64)
    return wide, TICKS[task.ingest.time_unit]


READERS.register("parquet")(Reader((".parquet", ".pq"), lambda head: head.startswith(MAGIC), read))
