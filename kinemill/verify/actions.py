"""Actions from a CSV or Parquet file with one column per action and one row per time step."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from kinemill.errors import BadInput
from kinemill.registry import nearest
from kinemill.runtime.window_metrics import Floats

TIME = ("time_s", "time", "t")  # columns that may hold the time, s
SUFFIXES = (".csv", ".parquet")
OFF = 0.01  # tolerance of a time stamp, as a share of the time step


def read_actions(path: Path, names: Sequence[str], dt: float) -> Floats:
    """Read the actions (T, A) of a file, in the units of the task; ignore all other columns.

    A time column, if the file has one, must have the step `dt`, s.

    Raises:
        BadInput: The file does not exist, a column is missing or is not numeric, a value is not
            finite, or the time steps differ from `dt`.
    """
    return actions_of(_read(path), names, dt, path)


def actions_of(frame: pl.DataFrame, names: Sequence[str], dt: float, path: object) -> Floats:
    """Return the actions (T, A) of a frame, in its units; see `read_actions`.

    `path` identifies the frame in errors.
    """
    if missing := [name for name in names if name not in frame.columns]:
        fix = nearest(missing[0], frame.columns)
        raise BadInput(path, f"has no column {', '.join(map(repr, missing))}", fix=fix)
    if not frame.height:
        raise BadInput(path, "has no rows", expected="one row for each time step")
    actions = np.stack([_numbers(path, frame, name) for name in names], axis=1) if names else None
    stamps = next((name for name in TIME if name in frame.columns and name not in names), None)
    if stamps:
        _check_time(path, _numbers(path, frame, stamps), dt)
    return np.zeros((frame.height, 0)) if actions is None else actions


def _read(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise BadInput(path, "does not exist", expected=f"a file, {' or '.join(SUFFIXES)}")
    if path.suffix not in SUFFIXES:
        raise BadInput(path, f"ends in {path.suffix!r}", expected=" or ".join(SUFFIXES))
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path, glob=False)
        return pl.read_csv(path, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BadInput(path, f"cannot be read: {str(error).splitlines()[0]}") from error


def _numbers(path: object, frame: pl.DataFrame, name: str) -> Floats:
    """Return a column as numbers, (T,); raise `BadInput` for the first row that is not one."""
    column = frame[name]
    if column.dtype == pl.String:  # polars reads a column as text if one cell is not a number
        parsed = column.str.strip_chars().cast(pl.Float64, strict=False)
    elif column.dtype.is_numeric():
        parsed = column.cast(pl.Float64)
    else:
        raise BadInput(f"{path}, {name}", f"holds {column.dtype}", expected="numbers")
    values = parsed.to_numpy().astype(np.float64)  # null becomes NaN
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        value = column[int(bad[0])]
        more = f" ({len(bad)} such rows)" if len(bad) > 1 else ""
        text = "empty" if value is None else repr(value)
        where = f"{path}, row {bad[0] + 1}, {name}"
        raise BadInput(where, f"is {text}{more}", expected="a finite number")
    return values


def _check_time(path: object, stamps: Floats, dt: float) -> None:
    steps = np.diff(stamps)
    off = np.flatnonzero(~(np.abs(steps - dt) <= OFF * dt))
    if len(off):
        raise BadInput(
            f"{path}, rows {off[0] + 1} and {off[0] + 2}",
            f"are {steps[off[0]]:.6g} s apart",
            expected=f"the model's time step of {dt:g} s",
            fix="resample the actions, or remove the time column",
        )
