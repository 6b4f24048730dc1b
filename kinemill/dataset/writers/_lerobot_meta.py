"""What LeRobot version 3 keeps under `meta/`: features, tasks, episodes with statistics.

Names and types follow the published code, `lerobot.datasets`: `info.json` is a `DatasetInfo`, the
columns of `episodes` are those of `save_episode`, statistics those of `compute_episode_stats`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kinemill.dataset._packed import SPLITS, PackedDataset

EPISODES = "meta/episodes/chunk-000/file-000.parquet"
COUNTERS = ("frame_index", "episode_index", "index", "task_index")
QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}

Floats = np.ndarray[Any, np.dtype[np.float64]]


def write_tasks(dataset: PackedDataset, folder: Path) -> None:
    """Write `meta/tasks.parquet`: the index is the task's text, as pandas spells it."""
    import pandas as pd

    tasks = pd.DataFrame({"task_index": [0]}, index=pd.Index([dataset.task], name="task"))
    tasks.to_parquet(folder / "meta" / "tasks.parquet")


def write_json(folder: Path, name: str, content: Any) -> None:
    """Write `meta/<name>.json`."""
    text = json.dumps(content, indent=4, allow_nan=False)
    (folder / "meta" / f"{name}.json").write_text(text + "\n")


def features(vectors: Mapping[str, list[str]], units: Mapping[str, str]) -> dict[str, Any]:
    """Describe every column: type, shape, names of elements, and units, which LeRobot ignores."""
    named: dict[str, Any] = {
        name: {
            "dtype": "float32",
            "shape": [len(channels)],
            "names": channels,
            "units": [units[channel] for channel in channels],
        }
        for name, channels in vectors.items()
    }
    plain = {"timestamp": "float32", **dict.fromkeys(COUNTERS, "int64")}
    return named | {n: {"dtype": kind, "shape": [1], "names": None} for n, kind in plain.items()}


def splits(dataset: PackedDataset) -> dict[str, str]:
    """Return `first:last` episodes of each split that is there."""
    stops = np.cumsum([len(dataset.of(split)) for split in SPLITS]).tolist()
    spans = zip(SPLITS, [0, *stops[:-1]], stops, strict=True)
    return {split: f"{start}:{stop}" for split, start, stop in spans if stop > start}


def statistics(frame: pl.DataFrame) -> dict[str, dict[str, list[float]]]:
    """Return lowest, highest, mean, spread and quantiles of every element of every column."""
    return {name: _of(frame[name]) for name in frame.columns}


def _of(column: pl.Series) -> dict[str, list[float]]:
    values = column.to_numpy().astype(np.float64).reshape(len(column), -1)
    quantiles = np.quantile(values, list(QUANTILES.values()), axis=0)
    return {
        "min": values.min(axis=0).tolist(),
        "max": values.max(axis=0).tolist(),
        "mean": values.mean(axis=0).tolist(),
        "std": values.std(axis=0).tolist(),
        "count": [len(values)],
        **dict(zip(QUANTILES, quantiles.tolist(), strict=True)),
    }


def flat(found: Mapping[str, Mapping[str, list[float]]]) -> dict[str, list[float]]:
    """Spell statistics as columns of the episodes: `stats/<feature>/<name>`."""
    return {f"stats/{key}/{name}": one for key, own in found.items() for name, one in own.items()}
