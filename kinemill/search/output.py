"""Matching recordings for other programs: JSON values, and CSV or Parquet files."""

from pathlib import Path

import polars as pl
import polars.selectors as cs

from kinemill.errors import BadInput

SUFFIXES = (".csv", ".parquet")


def as_json_rows(frame: pl.DataFrame) -> list[dict[str, object]]:
    """Return rows as JSON values; times are ISO 8601 in UTC."""
    return _with_text_times(frame).to_dicts()


def check_target(to: Path) -> None:
    """Check the name of a file that `write_frame` is to write.

    Raises:
        BadInput: Its suffix is unknown, or its folder does not exist.
    """
    if to.suffix.lower() not in SUFFIXES:
        raise BadInput(f"--to {to}", "has an unknown suffix", expected=" or ".join(SUFFIXES))
    if not to.parent.is_dir():
        raise BadInput(f"--to {to}", "is in a folder that is not there", fix="create the folder")


def write_frame(frame: pl.DataFrame, to: Path) -> None:
    """Write rows to a file by its suffix; lists are texts with commas in CSV."""
    if to.suffix.lower() == ".csv":
        texts = cs.by_dtype(pl.List(pl.String)).list.join(", ")
        _with_text_times(frame).with_columns(texts).write_csv(to)
    else:
        frame.write_parquet(to)


def _with_text_times(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(cs.datetime().dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))
