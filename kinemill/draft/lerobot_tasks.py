"""Tasks of a LeRobot data set, from its folder `meta/`.

The tasks are lines of JSON in version 2.1 (`tasks.jsonl`) and a table in version 3
(`tasks.parquet`, whose index is the text).
"""

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from kinemill.errors import BadLog
from kinemill.ingest.file_stat import is_file

TASK_INDEX = "task_index"  # column of the number of the task
LARGEST = 16 << 20  # bytes; larger files are not read
HIGHEST = 5  # folders above a file that are searched for `meta/`


def dataset_tasks(log: Path) -> dict[int, str]:
    """Return the text of each task of the data set that a log belongs to; {} without one.

    Raises:
        BadLog: The list of tasks is damaged.
    """
    meta = _meta(log)
    if meta is None:
        return {}
    lines = meta / "tasks.jsonl"
    table = meta / "tasks.parquet"
    if not (_is_small(lines) or _is_small(table)):
        return {}
    try:
        rows = _of_lines(lines) if _is_small(lines) else _of_table(table)
        return {int(number): text.strip() for number, text in rows if text.strip()}
    except (ValueError, TypeError, KeyError, AttributeError, pl.exceptions.PolarsError) as error:
        path = lines if _is_small(lines) else table
        expected = "task_index and task of each"
        raise BadLog(path, f"is not a list of tasks ({error})", expected=expected) from error


def _meta(log: Path) -> Path | None:
    for folder in list(log.parents)[:HIGHEST]:
        if folder.name == "data" and is_file(folder.parent / "meta" / "info.json"):
            return folder.parent / "meta"
    return None


def _is_small(path: Path) -> bool:
    return is_file(path) and path.stat().st_size <= LARGEST


def _of_lines(path: Path) -> Iterator[tuple[int, str]]:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.strip():
            item = json.loads(line)
            yield item["task_index"], item["task"]


def _of_table(path: Path) -> Iterator[tuple[int, str]]:
    frame = pl.read_parquet(path, glob=False)
    texts = "task" if "task" in frame.columns else "__index_level_0__"
    return zip(frame["task_index"].to_list(), frame[texts].to_list(), strict=True)
