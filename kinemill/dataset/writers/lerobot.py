"""LeRobot version 3: Parquet files of many episodes, vectors of states and of actions, and `meta/`.

Names are in `meta/info.json`, with units (`units`, which LeRobot ignores). Each episode is one row
group; a file ends at about 100 MB or at the end of a split. A vector of one element is a scalar
column, as LeRobot reads it. Names and types of `meta/` follow the published code,
`lerobot.datasets`: `info.json` is a `DatasetInfo`, the columns of `episodes` are those of
`save_episode`, statistics those of `compute_episode_stats`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.dataset.packed import SPLITS, PackedDataset, PackedEpisode
from kinemill.dataset.writers import WRITERS, Export
from kinemill.errors import BadInput
from kinemill.ingest.raw import elements

STATE = "observation.state"
ACTION = "action"
FILE_MB = 100
VIDEO_MB = 200
CHUNK_FILES = 1000
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
WHOLE = 1e-6  # largest relative distance of 1 / dt from a whole number of frames per second
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
COUNTERS = ("frame_index", "episode_index", "index", "task_index")
QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}


@dataclass(frozen=True)
class _File:
    """One data file, and its episodes with their numbers and first rows."""

    split: str
    chunk: int
    index: int
    episodes: list[tuple[int, int, PackedEpisode]]

    @property
    def path(self) -> str:
        return DATA.format(chunk_index=self.chunk, file_index=self.index)


@WRITERS.register("lerobot")
def write(dataset: PackedDataset, folder: Path) -> Export:
    """Write `data/` and `meta/`.

    Raises:
        BadInput: 1 / dt is not a whole number of frames per second.
    """
    rate = _rate(dataset)
    files = list(_files(dataset))
    rows = [row for file in files for row in _write_data(dataset, folder, file, rate)]
    (folder / EPISODES).parent.mkdir(parents=True)
    pl.DataFrame(rows).write_parquet(folder / EPISODES)
    _write_tasks(dataset, folder)
    _write_json(folder, "info", _info(dataset, rate))
    _write_json(folder, "stats", _statistics(_read_all(folder, files)))
    named = {split: [file.path for file in files if file.split == split] for split in SPLITS}
    ingest = {"format": "parquet", "time": ["timestamp"], "include": ["data/*"]}
    return Export(
        ingest, {split: paths for split, paths in named.items() if paths}, _sources(dataset)
    )


def _rate(dataset: PackedDataset) -> int:
    rate = round(1.0 / dataset.dt)
    if rate < 1 or abs(rate * dataset.dt - 1.0) > WHOLE:
        raise BadInput(
            f"dt {dataset.dt:g} s",
            f"makes {1.0 / dataset.dt:g} frames per second",
            expected="a whole number, which LeRobot requires",
            fix="export to hdf5, parquet or csv",
        )
    return rate


def _files(dataset: PackedDataset) -> Iterator[_File]:
    """Yield the files; numbers and rows are counted across all of them."""
    largest = FILE_MB * 1_000_000 // (4 * (len(dataset.columns) + 6))  # rows
    number = row = count = 0
    for split in SPLITS:
        episodes: list[tuple[int, int, PackedEpisode]] = []
        for episode in dataset.of(split):
            if episodes and row + episode.rows - episodes[0][1] > largest:
                yield _File(split, *divmod(count, CHUNK_FILES), episodes)
                episodes = []
                count = count + 1
            episodes.append((number, row, episode))
            number = number + 1
            row = row + episode.rows
        if episodes:
            yield _File(split, *divmod(count, CHUNK_FILES), episodes)
            count += 1


def _vectors(dataset: PackedDataset) -> dict[str, list[str]]:
    named = {STATE: dataset.states, ACTION: dataset.actions}
    return {name: channels for name, channels in named.items() if channels}


def _sources(dataset: PackedDataset) -> dict[str, str]:
    """Return the source of each channel: an element of a vector, or a scalar column."""
    return {
        channel: source
        for name, channels in _vectors(dataset).items()
        for channel, source in zip(
            channels, elements(name, len(channels)) if len(channels) > 1 else [name], strict=True
        )
    }


def _write_data(
    dataset: PackedDataset, folder: Path, file: _File, rate: int
) -> Iterator[dict[str, object]]:
    """Write the episodes of a file, one row group each; yield their rows of `meta/episodes`."""
    from pyarrow.parquet import ParquetWriter

    path = folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [_frame(dataset, *item, rate) for item in file.episodes]
    with ParquetWriter(path, frames[0].to_arrow().schema) as writer:
        for frame in frames:
            writer.write_table(frame.to_arrow())
    for frame, (number, first, episode) in zip(frames, file.episodes, strict=True):
        yield {
            "episode_index": number,
            "tasks": [dataset.task],
            "length": episode.rows,
            "data/chunk_index": file.chunk,
            "data/file_index": file.index,
            "dataset_from_index": first,
            "dataset_to_index": first + episode.rows,
            **_flatten(_statistics(frame)),
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
            "kinemill/id": episode.id,
        }


def _frame(
    dataset: PackedDataset, number: int, first: int, episode: PackedEpisode, rate: int
) -> pl.DataFrame:
    rows = np.array(dataset.rows(episode))
    states = len(dataset.states)
    index = np.arange(episode.rows, dtype=np.int64)
    parts = {STATE: rows[:, :states], ACTION: rows[:, states:]}
    return pl.DataFrame(
        [
            *(_vector(name, part) for name, part in parts.items() if part.shape[1]),
            pl.Series("timestamp", (index / rate).astype(np.float32)),
            pl.Series("frame_index", index),
            pl.Series("episode_index", np.full_like(index, number)),
            pl.Series("index", first + index),
            pl.Series("task_index", np.zeros_like(index)),
        ]
    )


def _vector(name: str, part: NDArray[np.float32]) -> pl.Series:
    if part.shape[1] == 1:
        return pl.Series(name, part[:, 0], dtype=pl.Float32)
    return pl.Series(name, part, dtype=pl.Array(pl.Float32, part.shape[1]))


def _read_all(folder: Path, files: list[_File]) -> pl.DataFrame:
    """Return all rows of all files."""
    return pl.concat(pl.read_parquet(folder / file.path, glob=False) for file in files)


def _info(dataset: PackedDataset, rate: int) -> dict[str, object]:
    return {
        "codebase_version": "v3.0",
        "robot_type": dataset.task,
        "total_episodes": len(dataset.episodes),
        "total_frames": sum(episode.rows for episode in dataset.episodes),
        "total_tasks": 1,
        "chunks_size": CHUNK_FILES,
        "data_files_size_in_mb": FILE_MB,
        "video_files_size_in_mb": VIDEO_MB,
        "fps": rate,
        "splits": _splits(dataset),
        "data_path": DATA,
        "video_path": None,
        "features": _features(_vectors(dataset), dataset.units),
    }


def _write_tasks(dataset: PackedDataset, folder: Path) -> None:
    """Write `meta/tasks.parquet`, whose pandas index is the task's text."""
    import pandas as pd

    tasks = pd.DataFrame({"task_index": [0]}, index=pd.Index([dataset.task], name="task"))
    tasks.to_parquet(folder / "meta" / "tasks.parquet")


def _write_json(folder: Path, name: str, content: Mapping[str, object]) -> None:
    """Write `meta/<name>.json`."""
    text = json.dumps(content, indent=4, allow_nan=False)
    (folder / "meta" / f"{name}.json").write_text(text + "\n")


def _features(vectors: Mapping[str, list[str]], units: Mapping[str, str]) -> dict[str, object]:
    """Return type, shape, element names and units of every column."""
    named: dict[str, object] = {
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


def _splits(dataset: PackedDataset) -> dict[str, str]:
    """Return `first:last` episodes of each split that has any."""
    stops = np.cumsum([len(dataset.of(split)) for split in SPLITS]).tolist()
    spans = zip(SPLITS, [0, *stops[:-1]], stops, strict=True)
    return {split: f"{start}:{stop}" for split, start, stop in spans if stop > start}


def _statistics(frame: pl.DataFrame) -> dict[str, dict[str, list[float]]]:
    """Return the statistics and quantiles of every element of every column."""
    return {name: _column_statistics(frame[name]) for name in frame.columns}


def _column_statistics(column: pl.Series) -> dict[str, list[float]]:
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


def _flatten(columns: Mapping[str, Mapping[str, list[float]]]) -> dict[str, list[float]]:
    """Return statistics as columns of the episodes: `stats/<feature>/<name>`."""
    return {
        f"stats/{key}/{name}": value
        for key, statistics in columns.items()
        for name, value in statistics.items()
    }
