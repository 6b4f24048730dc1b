"""LeRobot version 3: many episodes a Parquet file, vectors of states and of actions, and `meta/`.

Names stand in `meta/info.json`, units beside them (`units`, which LeRobot does not know). Each
episode is one row group; files end at about 100 MB and where a split does. A vector of one element
is a plain column, as LeRobot reads it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kinemill.dataset._packed import SPLITS, PackedDataset, PackedEpisode
from kinemill.dataset.writers import WRITERS, Export
from kinemill.dataset.writers._lerobot_meta import (
    EPISODES,
    features,
    flat,
    splits,
    statistics,
    write_json,
    write_tasks,
)
from kinemill.errors import BadInput
from kinemill.ingest.raw import elements

STATE, ACTION = "observation.state", "action"
FILE_MB, VIDEO_MB, CHUNK_FILES = 100, 200, 1000
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
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
    rows = [row for file in files for row in _write_data(dataset, folder, file, rate)]
    (folder / EPISODES).parent.mkdir(parents=True)
    pl.DataFrame(rows).write_parquet(folder / EPISODES)
    write_tasks(dataset, folder)
    write_json(folder, "info", _info(dataset, rate))
    write_json(folder, "stats", statistics(_whole(folder, files)))
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


def _vectors(dataset: PackedDataset) -> dict[str, list[str]]:
    named = {STATE: dataset.states, ACTION: dataset.actions}
    return {name: channels for name, channels in named.items() if channels}


def _sources(dataset: PackedDataset) -> dict[str, str]:
    """Return where each channel stands: an element of a vector, or the column that is it alone."""
    return {
        channel: place
        for name, channels in _vectors(dataset).items()
        for channel, place in zip(
            channels, elements(name, len(channels)) if len(channels) > 1 else [name], strict=True
        )
    }


def _write_data(
    dataset: PackedDataset, folder: Path, file: _File, rate: int
) -> Iterator[dict[str, Any]]:
    """Write the episodes of a file, a row group each; yield what `meta/` says of them."""
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
            **flat(statistics(frame)),
            "meta/episodes/chunk_index": 0,
            "meta/episodes/file_index": 0,
            "kinemill/id": episode.id,
        }


def _frame(
    dataset: PackedDataset, number: int, first: int, episode: PackedEpisode, rate: int
) -> pl.DataFrame:
    rows, states = np.array(dataset.rows(episode)), len(dataset.states)
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


def _vector(name: str, part: np.ndarray[Any, np.dtype[np.float32]]) -> pl.Series:
    if part.shape[1] == 1:
        return pl.Series(name, part[:, 0], dtype=pl.Float32)
    return pl.Series(name, part, dtype=pl.Array(pl.Float32, part.shape[1]))


def _whole(folder: Path, files: list[_File]) -> pl.DataFrame:
    """Return all rows of all files."""
    return pl.concat(pl.read_parquet(folder / file.path, glob=False) for file in files)


def _info(dataset: PackedDataset, rate: int) -> dict[str, Any]:
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
        "splits": splits(dataset),
        "data_path": DATA,
        "video_path": None,
        "features": features(_vectors(dataset), dataset.units),
    }
