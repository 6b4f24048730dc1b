"""All columns of a log that no task describes yet: what a draft is made from.

Text tables (CSV, TSV) and Parquet; other formats say where their columns are in a task.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from kinemill.errors import BadInput, BadLog
from kinemill.ingest.clock import Floats
from kinemill.ingest.guessing import is_stamp
from kinemill.ingest.raw import elements

HEAD = 1 << 18  # bytes of a text table that hold its header
MOST = 1_000_000  # rows looked at
WIDEST = 128  # elements of a vector that may be channels; an image has more

_NUMBER = r"^[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?$"


@dataclass(frozen=True)
class Table:
    """A log's columns: the clock's name, its stamps in s, and the numbers of the others."""

    path: Path
    time: str
    time_unit: str
    seconds: Floats  # (n,), from 0
    values: dict[str, Floats]  # (n,) each
    left_out: dict[str, str]  # columns that hold no numbers, and what they hold


def read_table(path: Path) -> Table:
    """Read every column of a log.

    Raises:
        BadInput: there is no such file, or a draft cannot be made from its format.
        BadLog: the file holds no table.
    """
    if not path.is_file():
        raise BadInput(path, "is no file", fix="name a log, or a folder of logs")
    suffix = path.suffix.lower()
    if suffix not in {".csv", ".tsv", ".txt", ".dat", ".parquet", ".pq"}:
        raise BadInput(
            path,
            "a draft cannot be made from this format",
            expected="a .csv, .tsv or .parquet log",
            fix="write the task by hand: docs/task-file.md",
        )
    frame = _parquet(path) if suffix in {".parquet", ".pq"} else _text(path)
    return _table(path, frame)


def _parquet(path: Path) -> pl.DataFrame:
    """Read a Parquet file, vectors as columns of their own: `state[0]`, `state[1]`, ...

    Raises:
        BadLog: the file is damaged.
    """
    try:
        frame = pl.read_parquet(path, n_rows=MOST, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BadLog(path, f"holds no table ({str(error).splitlines()[0]})") from error
    vectors = {
        name: kind for name, kind in frame.schema.items() if isinstance(kind, pl.List | pl.Array)
    }
    for name, kind in vectors.items():
        column = frame[name].arr.to_list() if isinstance(kind, pl.Array) else frame[name]
        widths = column.list.len().unique().to_list()
        if len(widths) == 1 and widths[0] and widths[0] <= WIDEST:
            parts = elements(name, widths[0])
            split = (column.list.get(place).alias(part) for place, part in enumerate(parts))
            frame = frame.drop(name).with_columns(split)
    return frame


def _text(path: Path) -> pl.DataFrame:
    with path.open("rb") as file:
        head = file.read(HEAD)
    header = (
        head.removeprefix(b"\xef\xbb\xbf")
        .lstrip(b"\r\n")
        .split(b"\n", 1)[0]
        .decode("utf-8", "replace")
    )
    separator = max(",;\t", key=header.count)
    names = [
        name.strip().lstrip("#").strip()
        for name in next(csv.reader([header.rstrip("\r")], delimiter=separator), [])
    ]
    try:
        frame = pl.read_csv(
            path, separator=separator, infer_schema=False, n_rows=MOST,
            encoding="utf8-lossy", truncate_ragged_lines=True, glob=False,
        )  # fmt: skip
    except pl.exceptions.PolarsError as error:
        raise BadLog(path, f"holds no table ({str(error).splitlines()[0]})") from error
    if len(names) != len(frame.columns):
        raise BadLog(path, f"its header has {len(names)} or {len(frame.columns)} columns")
    keep = {old: new for old, new in zip(frame.columns, names, strict=True) if new}
    if len(set(keep.values())) != len(keep):
        raise BadLog(path, "two columns have the same name", fix="rename one of them")
    return frame.select(list(keep)).rename(keep)


def _numbers(column: pl.Series) -> Floats | None:
    """Return a column as numbers with NaN where it has none; None if it is no column of numbers."""
    if column.dtype == pl.String:
        text = column.str.strip_chars()
        decimal = text.str.replace(",", ".", literal=True)
        column = decimal.cast(pl.Float64, strict=False)
        if column.null_count() > 0.5 * len(column):
            return None
    if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        return None
    return column.cast(pl.Float64).fill_null(np.nan).to_numpy().copy()


def _table(path: Path, frame: pl.DataFrame) -> Table:
    found = {name: _numbers(frame[name]) for name in frame.columns}
    numbers = {name: values for name, values in found.items() if values is not None}
    left_out = {name: "holds no numbers" for name in found if name not in numbers}
    clock = _clock(numbers)
    if clock is None:
        raise BadLog(
            path,
            "no column rises like a clock",
            expected="stamps under a name such as time or timestamp",
            fix="write the task by hand, with `ingest.rate`: docs/task-file.md",
        )
    unit, ticks = _time_unit(clock, numbers[clock])
    stamps = numbers.pop(clock)
    good = np.isfinite(stamps)
    seconds = (stamps[good] - stamps[good][0]) / ticks
    rising = np.diff(seconds, prepend=-np.inf) > 0.0
    values = {name: array[good][rising] for name, array in numbers.items()}
    return Table(path, clock, unit, seconds[rising], values, left_out)


def _clock(numbers: dict[str, Floats]) -> str | None:
    """Return the column that is the clock: named so and rising; else the first that rises."""
    rising = [
        name
        for name, values in numbers.items()
        if len(values) > 2 and np.nanmean(np.diff(values) > 0.0) > 0.9
    ]
    named = [name for name in rising if is_stamp(name)]
    evenly = [name for name in rising if _even(numbers[name])]
    return next(iter([*named, *evenly]), None)


def _even(values: Floats) -> bool:
    steps = np.diff(values)
    return bool(np.nanpercentile(steps, 90) < 3 * np.nanmedian(steps))


_TICKS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
# Epoch times since 2001 in s have 10 digits, in ms 13, in us 16, in ns 19.
_EPOCH = [(1e18, "ns"), (1e15, "us"), (1e12, "ms"), (1e9, "s")]


def _time_unit(name: str, stamps: Floats) -> tuple[str, float]:
    """Guess the unit of stamps: as the name says, as epoch times, or as robots are sampled."""
    from kinemill.ingest.guessing import words

    said = next((unit for unit in ("ms", "us", "ns") if unit in words(name)), None)
    largest, step = float(np.nanmax(stamps)), float(np.nanmedian(np.diff(stamps)))
    epoch = next((unit for least, unit in _EPOCH if largest >= least), None)
    # Few robots log slower than every 10 s, and none by whole seconds of a fraction.
    relative = "s" if step < 10 else "ms" if step < 1e4 else "us" if step < 1e7 else "ns"
    whole = bool(np.all(np.mod(stamps[np.isfinite(stamps)], 1.0) == 0.0))
    if relative == "s" and whole and epoch is None and step >= 2:
        relative = "ms"
    unit = said or epoch or relative
    return unit, _TICKS[unit]
