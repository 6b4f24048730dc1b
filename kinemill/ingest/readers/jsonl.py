"""JSON Lines logs: one object per row, with numbers, objects (`imu.rate`) and arrays (`gyro[2]`).

A JSON array of objects is read as well. Rows may hold one value each (`_long_table.py`). A field
that a row lacks has no value there. A row that is not an object is left out and named. Row 1 is the
first line.
"""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl

from kinemill.ingest.raw import RawLog, Reader, Reason, Unreadable, reason, stretches
from kinemill.ingest.readers._arrays import damaged_file
from kinemill.ingest.readers._episodes import NAMES as MARKS
from kinemill.ingest.readers._episodes import split_episodes
from kinemill.ingest.readers._lerobot_meta import dataset_of
from kinemill.ingest.readers._limits import check_keys, check_lines, parse_json
from kinemill.ingest.readers._long_table import may_be_long, widen
from kinemill.ingest.readers._nested import flat, read_table
from kinemill.task import Task
from kinemill.task.plugins import READERS

_ROWS = 10_000  # that are Python objects at a time
_HEAD = 64  # bytes that tell an array of objects from lines
_DAMAGE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, TypeError)


def read(path: Path, task: Task) -> RawLog | list[RawLog]:
    """Read one file, with fields matched by their path; values keep the units of the log.

    Episodes that a field marks are parts, see `_episodes`.

    Raises:
        Unreadable: The file holds no objects, a field is missing, or one holds no numbers.
    """
    try:
        whole, bad = _table(path)
        if may_be_long(list(dict.fromkeys([*whole.columns, *flat(whole).columns])), task):
            whole = whole if (wide := widen(whole)) is None else wide
        log = read_table(whole, task)
    except _DAMAGE as error:
        raise damaged_file("JSON Lines", error) from error
    log = replace(log, dropped_rows=len(bad), reasons=[_no_object(bad)] if bad else [])
    marks = {name: whole[name].to_numpy() for name in whole.columns if name in MARKS}
    return split_episodes(log, marks)


def _table(path: Path) -> tuple[pl.DataFrame, list[int]]:
    """Return all rows as a nested table, and the numbers of those left out."""
    with path.open("rb") as file:
        is_array = file.read(_HEAD).lstrip().startswith(b"[")
    if not is_array:
        check_lines(path)
    check_keys(path, is_array=is_array)
    try:
        if is_array:
            return pl.read_json(path, infer_schema_length=None), []
        return pl.read_ndjson(path, infer_schema_length=None), []
    except pl.exceptions.PolarsError:  # a damaged row, or NaN, which is not JSON
        if is_array:
            return pl.from_dicts(parse_json(path), infer_schema_length=None, strict=False), []
        return _read_by_line(path)


def _read_by_line(path: Path) -> tuple[pl.DataFrame, list[int]]:
    rows = list[dict[str, Any]]()
    bad = list[int]()
    frames = list[pl.DataFrame]()
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line) if line.strip() else None
            except (ValueError, RecursionError):
                row = line
            if isinstance(row, dict):
                rows.append(cast(dict[str, Any], row))
            elif row is not None:
                bad.append(number)
            # Rows as Python objects take ten times the memory of a frame.
            if len(rows) == _ROWS:
                frames.append(pl.from_dicts(rows, infer_schema_length=None, strict=False))
                rows = []
    if rows:
        frames.append(pl.from_dicts(rows, infer_schema_length=None, strict=False))
    if not frames:
        raise Unreadable(_no_object(bad or [1]))
    return pl.concat(frames, how="diagonal_relaxed"), bad


def _no_object(rows: list[int]) -> Reason:
    return reason(
        "format",
        stretches(np.array(rows, np.int64)),
        "no JSON object",
        expected="one JSON object per line",
        fix="nothing to do: these rows are left out",
    )


def _recognizes(head: bytes) -> bool:
    """Return whether the first two lines are objects, or an array begins with one.

    An indented JSON document is none.
    """
    if re.match(rb"\[\s*\{", head.lstrip()):
        return True
    lines = head.lstrip().splitlines()[:2]
    return (
        len(lines) == 2
        and lines[0].startswith(b"{")
        and lines[0].rstrip().endswith(b"}")
        and lines[1].startswith(b"{")
    )


READERS.register("jsonl")(
    Reader(
        (".jsonl", ".ndjson"),
        _recognizes,
        read,
        describes=lambda path: dataset_of(path, "meta") is not None,
    )
)
