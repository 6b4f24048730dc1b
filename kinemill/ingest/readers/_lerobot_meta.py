"""Metadata of a LeRobot data set in `meta/`: names of elements, and tasks.

Names and tasks are used for drafts of task files, not by ingest: a recording depends on its own
file, and on its videos (`_lerobot_videos.py`).
"""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from kinemill.ingest.file_stat import is_file, stat_of
from kinemill.ingest.name_heuristics import split_words
from kinemill.ingest.raw import About, elements

LARGEST = 16 << 20  # bytes; larger files are not read
HIGHEST = 5  # folders above a file that are searched for `meta/`
MAX_TASKS = 3  # tasks that are listed

Json = dict[str, Any]


def dataset_of(path: Path, below: str) -> Path | None:
    """Return the folder of the data set that `path` belongs to, if it is in its folder `below`."""
    for folder in list(path.parents)[:HIGHEST]:
        if folder.name == below and is_file(folder.parent / "meta" / "info.json"):
            return folder.parent
    return None


def read_info(folder: Path) -> Json:
    """Return `meta/info.json` of a data set; {} if it is damaged."""
    return _read(folder / "meta" / "info.json")


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
    text = " / ".join(list(dict.fromkeys(_tasks(folder / "meta")))[:MAX_TASKS])
    is_empty = {} if info else {"meta/info.json": "is empty or damaged: names and rate are unknown"}
    rate = float(fps) if isinstance(fps, int | float) and fps > 0 else None
    return About(labels, text, left_out=is_empty, rate=rate)


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


def _tasks(meta: Path) -> Iterator[str]:
    """Yield the texts of the tasks: lines of JSON in version 2.1, an index in version 3."""
    lines = meta / "tasks.jsonl"
    table = meta / "tasks.parquet"
    if _small(lines):
        for line in lines.read_text(encoding="utf-8", errors="replace").splitlines():
            yield from _text(_parse_json(line).get("task"))
    elif _small(table):
        import polars as pl

        try:
            frame = pl.read_parquet(table, glob=False)
        except (pl.exceptions.PolarsError, OSError):
            return  # it is only the description of a draft
        for name in ("task", "__index_level_0__"):
            for value in frame[name].to_list() if name in frame.columns else []:
                yield from _text(value)


def _text(value: object) -> Iterator[str]:
    if isinstance(value, str) and value.strip():
        yield value.strip()


def _small(path: Path) -> bool:
    status = stat_of(path)
    return status is not None and stat.S_ISREG(status.st_mode) and status.st_size <= LARGEST


def _read(path: Path) -> Json:
    return _parse_json(path.read_text(encoding="utf-8", errors="replace")) if _small(path) else {}


def _parse_json(text: str) -> Json:
    try:
        return as_object(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def as_object(value: object) -> Json:
    """Return a value if it is a JSON object, else {}."""
    return cast(Json, value) if isinstance(value, dict) else {}
