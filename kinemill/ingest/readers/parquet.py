"""Parquet logs: one row per timestamp, one column per channel.

A column can also hold vectors (`state[3]`) or structs (`cmd.left`) of channels. Rows may hold one
value each (`_long_table.py`). Files of LeRobot data sets, recognized by their columns, are split
into episodes. Images (PNG or JPEG, as bytes or as LeRobot's struct of bytes and path) and texts are
columns as well; images of LeRobot's cameras may be in videos next to the file, or with it in a
video archive. pyarrow reads the bytes, because polars crashes on some damaged files.
"""

import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import polars as pl

from kinemill.ingest.raw import About, RawLog, Reader, Unreadable, reason
from kinemill.ingest.readers._arrays import LARGEST, damaged_file
from kinemill.ingest.readers._attributes import columns_of_parquet, of_parquet
from kinemill.ingest.readers._episodes import NAMES as MARKS
from kinemill.ingest.readers._episodes import split_episodes
from kinemill.ingest.readers._lerobot import COUNTERS, Cameras, episodes, find_cameras
from kinemill.ingest.readers._lerobot_meta import about as about_lerobot
from kinemill.ingest.readers._lerobot_meta import dataset_of
from kinemill.ingest.readers._long_table import may_be_long, widen
from kinemill.ingest.readers._nested import TableColumn, read_columns, read_table
from kinemill.ingest.readers._video_archive import MAGIC as ARCHIVE
from kinemill.ingest.readers._video_archive import open_log
from kinemill.ingest.text_values import is_date
from kinemill.task import Task
from kinemill.task.plugins import READERS

MAGIC = b"PAR1"
UNNAMED_INDEX = "__index_level_"  # of pandas
# Exceptions of Arrow; a panic of polars on a damaged file is not an `Exception`.
_DAMAGE = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    MemoryError,
    NotImplementedError,
    tarfile.TarError,
)


def read(path: Path, task: Task) -> RawLog | list[RawLog]:
    """Read one Parquet file, with columns matched by name; split one of LeRobot into its episodes.

    Values keep the units of the log. A time column (`datetime`, `duration`) keeps its own unit; a
    plain number is in `ingest.time_unit`.

    Raises:
        Unreadable: The file is damaged, a column is missing, or one holds no numbers.
    """
    from pyarrow.parquet import ParquetFile

    files = open_log(path, task)
    cameras = find_cameras(files, task)
    try:
        with files.open_table() as table, ParquetFile(table) as file:
            schema = _frame(file.schema_arrow.empty_table()).schema
            counters = COUNTERS if set(schema) >= set(COUNTERS) else []
            if may_be_long(list(schema), task):
                _refuse_size(int(file.metadata.num_rows), len(schema))
                if (wide := widen(_frame(file.read()))) is not None:
                    return read_table(wide, task)
            marks = (
                [] if counters else sorted(name for name in schema if _marks_episodes(name, schema))
            )
            log, counts = _read(file, schema, cameras, counters or marks, task)
    except _DAMAGE as error:
        raise damaged_file("Parquet", error) from error
    if counters:
        return episodes(log, counts, cameras)
    return split_episodes(log, {count.name: count.to_numpy() for count in counts})


def _marks_episodes(name: str, schema: Mapping[str, pl.DataType]) -> bool:
    kind = schema[name]
    return name in MARKS and (kind.is_numeric() or kind.base_type() in {pl.Boolean, pl.String})


def _frame(table: object) -> pl.DataFrame:
    return cast(pl.DataFrame, pl.from_arrow(table))


def _read(
    file: Any, schema: Mapping[str, pl.DataType], cameras: Cameras, extra: list[str], task: Task
) -> tuple[RawLog, pl.DataFrame]:
    """Read the columns that the task requests, and the columns `extra`.

    Args:
        file: the Parquet file.
        schema: types of its columns.
        cameras: the channels that are videos.
        extra: names of further columns.
        task: names the columns.
    """
    rows = int(file.metadata.num_rows)

    def load(names: set[str], width: int) -> pl.DataFrame:
        _refuse_size(rows, width)
        return _frame(file.read(columns=sorted({*names, *extra})))

    log, whole = read_columns(
        schema, lambda column: _width(file, column), load, rows, task, cameras.channels
    )
    return log, whole.select(extra)


def _width(file: Any, column: TableColumn) -> int:
    lengths = _frame(file.read(columns=[column.stored])).select(column.expression.list.len().max())
    return int(lengths.item() or 0)


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


def _about(path: Path) -> About:
    """Return labels and tasks of a LeRobot data set, units and ranges of columns, and the clock."""
    return replace(about_lerobot(path), columns=columns_of_parquet(path), clock=_clock(path))


def _clock(path: Path) -> str:
    """Return the first column of dates or durations by type, or by its text; empty without one.

    pandas stores times in the index of a frame, of any or no name.
    """
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        schema = _frame(file.schema_arrow.empty_table()).schema
        texts = [name for name, kind in schema.items() if kind == pl.String]
        rows = next(file.iter_batches(batch_size=1, columns=texts), None) if texts else None
    typed = [
        name
        for name, kind in schema.items()
        if isinstance(kind, pl.Datetime | pl.Duration)
        or (name.startswith(UNNAMED_INDEX) and kind.is_float())
    ]
    first = {} if rows is None else next(_frame(rows).iter_rows(named=True), {})
    dated = [name for name, text in first.items() if text and is_date(text)]
    return next(iter([*typed, *dated]), "")


READERS.register("parquet")(
    Reader(
        (".parquet", ".pq"),
        lambda head: head.startswith((MAGIC, ARCHIVE)),
        read,
        describes=lambda path: dataset_of(path, "meta") is not None,
        about=_about,
        attributes=of_parquet,
    )
)
