"""Files that hold different columns of one recording, such as `u.csv` next to `y.csv`.

A program that writes a file for each quantity leaves a folder in which no file is a log. They are
joined row by row into a new file, which is a log; the originals do not change. `time_join` joins
logs with their own timestamps.
"""

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from kinemill.draft.schema_inference import columns_of
from kinemill.errors import BadInput
from kinemill.ingest.clock import Floats
from kinemill.ingest.name_heuristics import COMMAND, REFERENCE, guess, split_words
from kinemill.store import Json, publish_file

MOST_FILES = 40  # of one recording
MOST_VALUES = 64  # of a row in a file with one value in each line
SUFFIXES = {".csv": pl.DataFrame.write_csv, ".parquet": pl.DataFrame.write_parquet}
_UNNAMED = re.compile(r"column_\d+|arr_0(\[\d+\])?")


class Match(NamedTuple):
    """Rows of the first file that have samples of another one.

    Attributes:
        path: the other file.
        rows: their number.
        distance: largest time between a row and the closest sample that it uses, s.
    """

    path: Path
    rows: int
    distance: float


class JoinedTable(NamedTuple):
    """Columns of several files.

    Attributes:
        frame: the table, (rows, columns).
        left_out: columns that are not used, such as `a.csv: note`.
        matches: one for each further file, if they are joined by time.
    """

    frame: pl.DataFrame
    left_out: list[str]
    matches: Sequence[Match] = ()

    def summary(self, paths: Sequence[Path]) -> Json:
        """Return what the table holds of the files, for `kinemill data join --json`."""
        matches = [
            {"file": match.path.name, "rows": match.rows, "distance_s": match.distance}
            for match in self.matches
        ]
        return {
            "files": [path.name for path in paths],
            "rows": self.frame.height,
            "columns": self.frame.columns,
            "left_out": self.left_out,
            "matches": matches,
        }


def join_rows(paths: Sequence[Path]) -> JoinedTable:
    """Join files of one recording row by row: row k of each file has the same time.

    Raises:
        BadInput: The files are not of one recording.
    """
    read = {path: columns_of(path) for path in paths}
    frame = pl.DataFrame(table_by_row({path: columns for path, (columns, _) in read.items()}))
    texts = [f"{path.name}: {name}" for path, (_, texts) in read.items() for name in texts]
    return JoinedTable(frame, texts)


def write_joined(
    paths: Sequence[Path], target: Path, join: Callable[[Sequence[Path]], JoinedTable] = join_rows
) -> JoinedTable:
    """Join files, and write the table to a new CSV or Parquet file.

    Args:
        paths: files of one recording.
        target: the new file.
        join: joins the columns of the files.

    Raises:
        BadInput: The files cannot be joined, or the target exists or has another suffix.
    """
    if target.suffix.lower() not in SUFFIXES:
        expected = f"a suffix of {', '.join(SUFFIXES)}"
        raise BadInput(target, "has no suffix of a table", expected=expected)
    if target.exists():
        raise BadInput(target, "exists already", fix="choose another name")
    joined = join(paths)
    content = io.BytesIO()
    SUFFIXES[target.suffix.lower()](joined.frame, content)
    publish_file(target, content.getvalue())
    return joined


def table_by_row(columns: Mapping[Path, Mapping[str, Floats]]) -> dict[str, Floats]:
    """Return the columns of all files by name.

    Raises:
        BadInput: The numbers of rows differ.
    """
    lengths = {
        path: len(next(iter(columns_of_file.values()))) for path, columns_of_file in columns.items()
    }
    rows = min(lengths.values())
    files = dict[Path, Mapping[str, Floats]]()
    for path, columns_of_file in columns.items():
        files[path] = file_columns = _split_column(columns_of_file, rows)
        if len(next(iter(file_columns.values()))) != rows:
            shortest = min(lengths, key=lengths.__getitem__).name
            raise BadInput(
                path,
                f"has {lengths[path]} rows, and {shortest} has {rows}",
                expected="files with the same number of rows, or with one value in each line and "
                f"a multiple of it, at most {MOST_VALUES} times",
                fix="name only the files of one recording; for logs with timestamps: --by time",
            )
    files = _without_copies(files)
    names = column_names({path: [*file_columns] for path, file_columns in files.items()})
    return {
        name: values
        for path, file_columns in files.items()
        for name, values in zip(names[path], file_columns.values(), strict=True)
    }


def _without_copies(
    columns: Mapping[Path, Mapping[str, Floats]],
) -> dict[Path, Mapping[str, Floats]]:
    """Return the columns without those that an earlier file has too, such as its timestamps.

    Columns without names repeat only if they rise in each row.
    """
    first = dict[str, Floats]()
    unique = dict[Path, Mapping[str, Floats]]()
    for path, file_columns in columns.items():
        unique[path] = {
            name: values
            for name, values in file_columns.items()
            if name not in first
            or not np.array_equal(first[name], values, equal_nan=True)
            or (is_unnamed([name]) and not (np.diff(values) > 0.0).all())
        }
        first = {**file_columns, **first}
    return unique


def column_names(columns: Mapping[Path, Sequence[str]]) -> dict[Path, list[str]]:
    """Return a unique name for each column of some files.

    A column without a name is called after its file. A repeated name gets that of its file, and so
    does one that only its file shows to be a command: `cmd_vel.field.linear.x`.
    """
    used = set[str]()
    names = dict[Path, list[str]]()
    for path, short in zip(columns, short_names(list(columns)), strict=True):
        file_columns = columns[path]
        unnamed = is_unnamed(file_columns)
        names[path] = []
        for number, name in enumerate(file_columns, start=1):
            plain = f"{short}_{number}" if len(file_columns) > 1 else short
            full = f"{short}.{name}" if _is_command(name, short) else name
            names[path].append(_unused(plain if unnamed else full, short, used))
            used.add(names[path][-1])
    return names


def _is_command(name: str, short: str) -> bool:
    """Return whether a column is a command or a reference only next to the name of its file."""
    kinds = {"action", "reference"}
    is_telling = {*split_words(short)} & (COMMAND | REFERENCE | {"actuator", "actuators"})
    whole = guess(f"{short}.{name}").what
    return bool(is_telling) and whole in kinds and guess(name).what not in kinds


def _unused(name: str, short: str, used: Set[str]) -> str:
    """Return the name of a column, with that of its file or a number if it is used."""
    names = chain([name, f"{short}_{name}"], (f"{name}_{number}" for number in count(2)))
    return next(name for name in names if name not in used)


def is_unnamed(columns: Iterable[str]) -> bool:
    """Return whether columns have names that a reader gives to columns without a header."""
    return all(_UNNAMED.fullmatch(name) for name in columns)


def _split_column(columns: Mapping[str, Floats], rows: int) -> Mapping[str, Floats]:
    """Return columns (rows,), from one that lists the values of each row below one another."""
    values = next(iter(columns.values()))
    width, left_over = divmod(len(values), max(rows, 1))
    if len(columns) > 1 or left_over or not 1 < width <= MOST_VALUES:
        return columns
    table = np.reshape(values, (rows, width))
    return {f"column_{number + 1}": table[:, number].copy() for number in range(width)}


def short_names(paths: Sequence[Path]) -> list[str]:
    """Return the names of files without the words that all begin or end with."""
    words = [re.split(r"[^0-9A-Za-z]+", path.stem) for path in paths]
    for _ in range(2):  # at the start, then at the end
        while len({word[0] for word in words}) == 1 and all(len(word) > 1 for word in words):
            words = [word[1:] for word in words]
        words = [word[::-1] for word in words]
    return ["_".join(word) for word in words]
