"""Rows of tracks and episodes on the disk: Arrow IPC, not compressed, one batch a file.

The file is the memory: writing costs a copy, and reading none, as the columns are views of the
mapped file. Parquet cost three times as much to write and read, and of float64 its lz4 saved 1 %.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

SUFFIX = ".arrow"


def write_rows(frame: pl.DataFrame, path: Path) -> None:
    """Write rows, each column in one piece."""
    import pyarrow as pa

    table = frame.rechunk().to_arrow()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)


def read_rows(path: Path, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Read rows, each column in one piece, all of them or those named; nothing may write to them.

    Args:
        path: a file of `write_rows`, or the Parquet that recordings before version 4 were kept in.
        columns: names; default: all.
    """
    if path.suffix != SUFFIX:
        named = list(columns) if columns is not None else None
        # In one piece: every look at a column of several copies it.
        return pl.read_parquet(path, glob=False, columns=named).rechunk()
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        frame = pl.DataFrame(pa.ipc.open_file(source).read_all())
    return frame if columns is None else frame.select(columns)
