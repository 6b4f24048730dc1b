"""LeRobot version 3: many episodes a Parquet file, vectors of states and of actions, and `meta/`.

Names stand in `meta/info.json`, units beside them (`units`, which LeRobot does not know). Files
end at about 100 MB and where a split does.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kinemill.dataset._packed import SPLITS, PackedDataset, PackedEpisode
from kinemill.dataset.writers import WRITERS, Export
from kinemill.errors import BadInput

STATE, ACTION = "observation.state", "action"
FILE_MB, CHUNK_FILES = 100, 1000
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
WHOLE = 1e-6  # of a rate: what 1 / dt may be off a whole number of frames per second


@dataclass(frozen=True)
class _File:
    """One data file: where it lies, and its episodes with their numbers and first rows."""

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
        BadInput: the time step is not that of a whole number of frames per second.
    """
    rate = _rate(dataset)
    files = list(_files(dataset))
    for file in files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = [_frame(dataset, *item, rate) for item in file.episodes]
        pl.concat(frames).write_parquet(path)
    _write_meta(dataset, folder, files, rate)
    named = {split: [file.path for file in files if file.split == split] for split in SPLITS}
    sources = {name: f"{STATE}[{place}]" for place, name in enumerate(dataset.states)}
    sources |= {name: f"{ACTION}[{place}]" for place, name in enumerate(dataset.actions)}
    ingest = {"format": "parquet", "time": ["timestamp"], "include": ["data/*"]}
    return Export(ingest, {split: paths for split, paths in named.items() if paths}, sources)


def _rate(dataset: PackedDataset) -> int:
    rate = round(1.0 / dataset.dt)
    if rate < 1 or abs(rate * dataset.dt - 1.0) > WHOLE:
        raise BadInput(
            f"dt {dataset.dt:g} s",
            f"makes {1.0 / dataset.dt:g} frames per second",
            expected="a whole number, as LeRobot counts them",
            fix="export to hdf5, parquet or csv",
        )
    return rate


def _files(dataset: PackedDataset) -> Iterator[_File]:
    """Cut the episodes into files; numbers and rows are counted through all of them."""
    largest = FILE_MB * 1_000_000 // (4 * (len(dataset.columns) + 6))  # rows
    number = row = count = 0
    for split in SPLITS:
        episodes: list[tuple[int, int, PackedEpisode]] = []
        for episode in dataset.of(split):
            if episodes and row + episode.rows - episodes[0][1] > largest:
                yield _File(split, *divmod(count, CHUNK_FILES), episodes)
                episodes, count = [], count + 1
            episodes.append((number, row, episode))
            number, row = number + 1, row + episode.rows
        if episodes:
            yield _File(split, *divmod(count, CHUNK_FILES), episodes)
            count += 1


def _frame(
    dataset: PackedDataset, number: int, first: int, episode: PackedEpisode, rate: int
) -> pl.DataFrame:
    rows, states = np.array(dataset.rows(episode)), len(dataset.states)
    index = np.arange(episode.rows, dtype=np.int64)
    parts = {STATE: rows[:, :states], ACTION: rows[:, states:]}
    return pl.DataFrame(
        [
            *(
                pl.Series(name, part, dtype=pl.Array(pl.Float32, part.shape[1]))
                for name, part in parts.items()
                if part.shape[1]
            ),
            pl.Series("timestamp", (index / rate).astype(np.float32)),
            pl.Series("frame_index", index),
            pl.Series("episode_index", np.full_like(index, number)),
            pl.Series("index", first + index),
            pl.Series("task_index", np.zeros_like(index)),
        ]
    )


def _write_meta(dataset: PackedDataset, folder: Path, files: list[_File], rate: int) -> None:
    import pandas as pd

    rows = [
        {
            "episode_index": number,
            "tasks": [dataset.task],
            "length": episode.rows,
            "data/chunk_index": file.chunk,
            "data/file_index": file.index,
            "dataset_from_index": first,
            "dataset_to_index": first + episode.rows,
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
            "kinemill/id": episode.id,
        }
        for file in files
        for number, first, episode in file.episodes
    ]
    (folder / EPISODES).parent.mkdir(parents=True)
    pl.DataFrame(rows).write_parquet(folder / EPISODES)
    tasks = pd.DataFrame({"task_index": [0]}, index=pd.Index([dataset.task], name="task"))
    tasks.to_parquet(folder / "meta" / "tasks.parquet")
    for name, content in (("info", _info(dataset, rate)), ("stats", _stats(dataset))):
        text = json.dumps(content, indent=4, allow_nan=False)
        (folder / "meta" / f"{name}.json").write_text(text + "\n")


def _vectors(dataset: PackedDataset) -> dict[str, list[str]]:
    named = {STATE: dataset.states, ACTION: dataset.actions}
    return {name: channels for name, channels in named.items() if channels}


def _info(dataset: PackedDataset, rate: int) -> dict[str, Any]:
    features: dict[str, Any] = {
        name: {
            "dtype": "float32",
            "shape": [len(channels)],
            "names": channels,
            "units": [dataset.units[channel] for channel in channels],
        }
        for name, channels in _vectors(dataset).items()
    }
    counters = ("frame_index", "episode_index", "index", "task_index")
    plain = {"timestamp": "float32", **dict.fromkeys(counters, "int64")}
    features |= {n: {"dtype": kind, "shape": [1], "names": None} for n, kind in plain.items()}
    counts = [len(dataset.of(split)) for split in SPLITS]
    stops = np.cumsum(counts).tolist()
    splits = zip(SPLITS, [0, *stops[:-1]], stops, strict=True)
    return {
        "codebase_version": "v3.0",
        "robot_type": dataset.task,
        "total_episodes": len(dataset.episodes),
        "total_frames": sum(episode.rows for episode in dataset.episodes),
        "total_tasks": 1,
        "chunks_size": CHUNK_FILES,
        "data_files_size_in_mb": FILE_MB,
        "video_files_size_in_mb": 500,
        "fps": rate,
        "splits": {split: f"{start}:{stop}" for split, start, stop in splits if stop > start},
        "data_path": DATA,
        "video_path": None,
        "features": features,
    }


def _stats(dataset: PackedDataset) -> dict[str, Any]:
    """Return lowest, highest, mean and spread of every element over all rows."""
    values = dataset.values
    count, place, found = len(values), 0, dict[str, Any]()
    for name, channels in _vectors(dataset).items():
        part = values[:, place : place + len(channels)]
        place += len(channels)
        found[name] = {
            "min": part.min(axis=0).tolist(),
            "max": part.max(axis=0).tolist(),
            "mean": part.mean(axis=0, dtype=np.float64).tolist(),
            "std": part.std(axis=0, dtype=np.float64).tolist(),
            "count": [count],
        }
    return found
