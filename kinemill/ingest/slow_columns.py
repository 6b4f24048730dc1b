"""Slower columns of a table: a sensor with a lower rate leaves the cells between its samples empty.

Such a column gets its own clock, as a topic of a bag has, and is resampled from its samples. Empty
cells of other columns are missing values.
"""

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.ingest.raw import TIME, RawLog, Signal

FEWEST = 3  # samples that show a rate


def is_slower(present: NDArray[np.bool_]) -> bool:
    """Return whether a column (n,) usually has a value in every second row or less."""
    if present.all():
        return False
    rows = np.flatnonzero(present)
    return len(rows) >= FEWEST and float(np.median(np.diff(rows))) >= 2.0


def with_slow_columns(log: RawLog) -> RawLog:
    """Return a table with slower columns as signals; a log without any is unchanged."""
    if log.signals or TIME not in log.frame.columns:
        return log
    columns = log.frame.drop(TIME)
    present = {
        column.name: _present(column)
        for column in columns
        if column.null_count() or _has_nan(column)
    }
    slower = {name: mask for name, mask in present.items() if is_slower(mask)}
    if not slower:
        return log
    stamps = log.frame[TIME]
    clocks = dict[bytes, pl.Series]()
    signals = dict[str, Signal]()
    for column in columns:
        if (mask := slower.get(column.name)) is None:
            signals[column.name] = Signal(stamps, column)
            continue
        # Columns with samples in the same rows share a clock.
        time = clocks.setdefault(mask.tobytes(), stamps.filter(pl.Series(mask)))
        signals[column.name] = Signal(time, column.filter(pl.Series(mask)))
    return replace(log, frame=pl.DataFrame(), signals=signals)


def _has_nan(column: pl.Series) -> bool:
    return column.dtype.is_float() and bool(column.is_nan().any())


def _present(column: pl.Series) -> NDArray[np.bool_]:
    present = column.is_not_null()
    if column.dtype.is_float():
        present &= column.is_not_nan().fill_null(value=False)
    return present.to_numpy()
