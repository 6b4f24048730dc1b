"""Metadata of a LeRobot data set in `meta/`: names of elements, and tasks.

Names and tasks are used for drafts of task files, not by ingest: a recording depends on its own
file, and on its videos (`_lerobot_videos.py`).
"""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from kinemill.errors import BadLog
from kinemill.ingest.file_stat import is_file, stat_of
from kinemill.ingest.name_heuristics import split_words
from kinemill.ingest.raw import About, elements

LARGEST = 16 << 20  # bytes; larger files are not read
HIGHEST = 5  # folders above a file that are searched for `meta/`
MAX_TASKS = 3  # tasks that are listed
TASK_INDEX = "task_index"  # column of the number of a task

Json = dict[str, Any]


def dataset_of(path: Path, below: str) -> Path | None:
    """Return the folder of the data set that `path` belongs to, if it is in its folder `below`."""
    for folder in list(path.parents)[:HIGHEST]:
        if folder.name == below and is_file(folder.parent / "meta" / "info.json"):
            return folder.parent
    return None


def read_info(folder: Path) -> Json:
    """Return `meta/info.json` of a data set; {} if it is damaged."""
    path = folder / "meta" / "info.json"
    if not _small(path):
        return {}
    try:
        return as_object(json.loads(path.read_text(encoding="utf-8", errors="replace")))
    except (ValueError, RecursionError):
        return {}


def about(path: Path) -> About:
    """Return labels of a file's columns and the tasks, as far as `meta/` has them."""
    folder = dataset_of(path, "data")
    if folder is None:
        return About()
    labels: dict[str, str] = {}
    info = read_info(folder)
    features = as_object(info.get("features"))
    for feature, described in features.items():
        labels |= _labels(feature, as_object(described))
    fps = info.get("fps")
    try:
        texts = [*dict.fromkeys(tasks_of(folder).values())]
    except BadLog:
        texts = []  # they are only the description of a draft
    is_empty = {} if info else {"meta/info.json": "is empty or damaged: names and rate are unknown"}
    rate = float(fps) if isinstance(fps, int | float) and fps > 0 else None
    return About(labels, " / ".join(texts[:MAX_TASKS]), left_out=is_empty, rate=rate)


def _labels(feature: str, described: Json) -> dict[str, str]:
    """Label each element of a feature by its own name, with the feature's unless it is a state.

    Names that do not fit the shape, or are repeated, are ignored.
    """
    names = list(_names(described.get("names")))
    shape = described.get("shape")
    if shape != [len(names)] or len(set(names)) < len(names):
        return {}
    last = feature.rpartition(".")[2]
    front = [] if last == "state" else split_words(last)
    labels = ["_".join([*front, *split_words(name)]) for name in names]
    element_names = elements(feature, len(names)) if len(names) > 1 else [feature]
    return dict(zip(element_names, labels, strict=True))


def _names(names: object) -> Iterator[str]:
    """Yield names from a list, from nested lists, or from lists under keys."""
    if isinstance(names, str):
        yield names
    elif isinstance(names, list):
        for inner in cast(list[Any], names):
            yield from _names(inner)
    elif isinstance(names, dict):
        for inner in cast(Json, names).values():
            yield from _names(inner)


def tasks_of(folder: Path) -> dict[int, str]:
    """Return the text of each task of a data set; {} if it lists none.

    Version 2.1 has lines of JSON, and version 3 a table, whose index may be the text.

    Raises:
        BadLog: The list of tasks is damaged.
    """
    import polars as pl

    lists = [folder / "meta" / name for name in ("tasks.jsonl", "tasks.parquet")]
    path = next(filter(_small, lists), None)
    if path is None:
        return {}
    try:
        is_table = path.suffix == ".parquet"
        frame = pl.read_parquet(path, glob=False) if is_table else pl.read_ndjson(path)
        texts = frame["task" if "task" in frame.columns else "__index_level_0__"].to_list()
        rows = zip(frame[TASK_INDEX].to_list(), texts, strict=True)
        return {int(number): text.strip() for number, text in rows if text.strip()}
    except (ValueError, TypeError, AttributeError, OSError, pl.exceptions.PolarsError) as error:
        expected = "task_index and task of each"
        raise BadLog(path, f"is not a list of tasks ({error})", expected=expected) from error


def _small(path: Path) -> bool:
    status = stat_of(path)
    return status is not None and stat.S_ISREG(status.st_mode) and status.st_size <= LARGEST


def as_object(value: object) -> Json:
    """Return a value if it is a JSON object, else {}."""
    return cast(Json, value) if isinstance(value, dict) else {}
