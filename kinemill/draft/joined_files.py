"""Files that hold different columns of one recording, such as `u.csv` next to `y.csv`.

A program that writes a file for each quantity leaves a folder in which no file is a log. They are
joined row by row into a new file, which is a log; the originals do not change.
"""

import io
import re
import shlex
from collections.abc import Mapping, Sequence
from itertools import chain, count
from pathlib import Path

import numpy as np
import polars as pl

from kinemill.draft.schema_inference import columns_of
from kinemill.errors import BadInput
from kinemill.ingest.clock import Floats
from kinemill.ingest.name_heuristics import guess, is_stamp
from kinemill.store import publish_file

MOST_FILES = 40  # of one recording
MOST_VALUES = 64  # of a row in a file with one value in each line
SUFFIXES = {".csv": pl.DataFrame.write_csv, ".parquet": pl.DataFrame.write_parquet}
_UNNAMED = re.compile(r"column_\d+|arr_0(\[\d+\])?")


def write_joined(paths: Sequence[Path], target: Path) -> tuple[pl.DataFrame, list[str]]:
    """Join files row by row, and write the table to a new CSV or Parquet file.

    Args:
        paths: files of one recording; row k of each is of the same time.
        target: the new file.

    Returns:
        The table, (rows, columns), and the columns that hold no numbers, such as `a.csv: note`.

    Raises:
        BadInput: the files are not of one recording, or the target exists or has another suffix.
    """
    if target.suffix.lower() not in SUFFIXES:
        expected = f"a suffix of {', '.join(SUFFIXES)}"
        raise BadInput(target, "has no suffix of a table", expected=expected)
    if target.exists():
        raise BadInput(target, "is there already", fix="choose another name")
    read = {path: columns_of(path) for path in paths}
    frame = pl.DataFrame(_joined({path: columns for path, (columns, _) in read.items()}))
    content = io.BytesIO()
    SUFFIXES[target.suffix.lower()](frame, content)
    publish_file(target, content.getvalue())
    return frame, [f"{path.name}: {name}" for path, (_, texts) in read.items() for name in texts]


def join_hint(folder: Path, paths: Sequence[Path]) -> str | None:
    """Return the command that joins the files of a folder if they look like one recording."""
    if not 1 < len(paths) <= MOST_FILES or len({path.parent for path in paths}) > 1:
        return None
    try:
        columns = {path: columns_of(path)[0] for path in paths}
        _joined(columns)
    except (BadInput, OSError):
        return None
    is_plain = any(_is_unnamed(one) and len(one) > 1 for one in columns.values())
    if is_plain and not all(map(_is_quantity, _short_names(paths))):
        return None  # recordings without headers
    if all({"action", "state"} <= {guess(name).role for name in one} for one in columns.values()):
        return None  # recordings with other names
    named = [set(one) for one in columns.values() if not _is_unnamed(one)]
    if sum(map(len, named)) > len(set[str]().union(*named)):
        return None  # recordings with the same columns
    return f"join them: kinemill data join {shlex.quote(str(folder))} --to {folder.name}_joined.csv"


def _joined(columns: Mapping[Path, Mapping[str, Floats]]) -> dict[str, Floats]:
    """Return the columns of all files by name.

    Raises:
        BadInput: the numbers of rows differ.
    """
    lengths = {path: len(next(iter(one.values()))) for path, one in columns.items()}
    rows = min(lengths.values())
    joined = dict[str, Floats]()
    for path, short in zip(columns, _short_names(list(columns)), strict=True):
        own = _rows_of_one_column(columns[path], rows)
        if len(next(iter(own.values()))) != rows:
            shortest = min(lengths, key=lengths.__getitem__).name
            raise BadInput(
                path,
                f"has {lengths[path]} rows, and {shortest} has {rows}",
                expected="files with the same number of rows, or with one value in each line and "
                f"a multiple of it, at most {MOST_VALUES} times",
                fix="name only the files of one recording",
            )
        unnamed = _is_unnamed(own)
        for number, (name, values) in enumerate(own.items(), start=1):
            plain = f"{short}_{number}" if len(own) > 1 else short
            joined[_unused(plain if unnamed else name, short, joined)] = values
    return joined


def _unused(name: str, short: str, used: Mapping[str, Floats]) -> str:
    """Return the name of a column, with that of its file or a number if it is used."""
    names = chain([name, f"{short}_{name}"], (f"{name}_{number}" for number in count(2)))
    return next(one for one in names if one not in used)


def _is_unnamed(columns: Mapping[str, Floats]) -> bool:
    return all(_UNNAMED.fullmatch(name) for name in columns)


def _is_quantity(name: str) -> bool:
    """Return whether the name of a file is that of a quantity, such as q, tau or time."""
    return guess(name).what != "unknown" or is_stamp(name)


def _rows_of_one_column(columns: Mapping[str, Floats], rows: int) -> Mapping[str, Floats]:
    """Return columns (rows,), from one that lists the values of each row below one another."""
    values = next(iter(columns.values()))
    width, left_over = divmod(len(values), max(rows, 1))
    if len(columns) > 1 or left_over or not 1 < width <= MOST_VALUES:
        return columns
    table = np.reshape(values, (rows, width))
    return {f"column_{number + 1}": table[:, number].copy() for number in range(width)}


def _short_names(paths: Sequence[Path]) -> list[str]:
    """Return names of files without the words that all begin or end with."""
    words = [re.split(r"[^0-9A-Za-z]+", path.stem) for path in paths]
    for _ in range(2):  # at the start, then at the end
        while len({one[0] for one in words}) == 1 and all(len(one) > 1 for one in words):
            words = [one[1:] for one in words]
        words = [one[::-1] for one in words]
    return ["_".join(one) for one in words]
