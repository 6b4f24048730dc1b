"""Packed episodes: one array of rows, one description, and sliding windows within episodes.

Symbols: N rows of all episodes, C channels (states, then actions), S states, Y output channels.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.store import (
    ArtifactRef,
    from_json_value,
    open_ref,
    read_json,
    to_json_value,
    write_json,
)
from kinemill.store.formats import Format
from kinemill.store.home import Home
from kinemill.task import Task

VALUES, DESCRIPTION = "values.npy", "dataset.json"
NUMBERS = "numbers.npy"  # outputs, then observations and rewards
SPLITS = ("train", "validation", "test")

FORMAT = Format("dataset description", 2)  # 1 had no tasks and weights, which have defaults

Floats = NDArray[np.float64]
Packed = NDArray[np.float32]


@dataclass(frozen=True)
class PackedEpisode:
    """An episode within the packed rows: `values[start:stop]`.

    Attributes:
        id: id of the episode, or of a piece of it.
        recording: content hash of its recording.
        name: name of its recording when it was first ingested.
        split: train, validation or test.
        start: first row.
        stop: row after the last.
        task: task that it was recorded for, if not the dataset's.
        weight: sampling weight of its windows in training, relative to the mean.
    """

    id: str
    recording: str
    name: str
    split: str
    start: int
    stop: int
    task: str = ""
    weight: float = 1.0

    @property
    def rows(self) -> int:
        """Number of time steps."""
        return self.stop - self.start


@dataclass(frozen=True)
class Statistics:
    """Statistics of the training rows: (C,) `mean` and `std`, (S,) `delta_std`."""

    mean: list[float]
    std: list[float]
    delta_std: list[float]


@dataclass(frozen=True)
class Description:
    """Content of `dataset.json`; see `PackedDataset` for the fields."""

    task: str
    dt: float
    states: list[str]
    actions: list[str]
    units: dict[str, str]
    angles: list[str]
    episodes: list[PackedEpisode]
    statistics: Statistics
    outputs: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, eq=False)
class PackedDataset:
    """A dataset version: rows, episodes, and statistics of training.

    Attributes:
        task: name of the task.
        dt: time step, s.
        states: state channels, the first S columns.
        actions: action channels, the columns after the states.
        units: unit of each channel.
        angles: states that are angles, rad, unwrapped within an episode.
        episodes: train, validation, test episodes, each sorted by id.
        values: (N, C) float32 in task units.
        mean: (C,) mean of the training rows.
        std: (C,) standard deviation of the training rows; 0 for a constant channel.
        delta_std: (S,) standard deviation of state[k+1] - state[k] in training.
        outputs: output channels, which models predict but do not feed back.
        output_values: (N, Y) float32 in task units; None before they are written.
    """

    task: str
    dt: float
    states: list[str]
    actions: list[str]
    units: dict[str, str]
    angles: list[str]
    episodes: list[PackedEpisode]
    values: Packed
    mean: Floats
    std: Floats
    delta_std: Floats
    outputs: list[str] = field(default_factory=list[str])
    output_values: Packed | None = None

    @classmethod
    def of_task(
        cls,
        task: Task,
        episodes: list[PackedEpisode],
        values: Packed,
        statistics: tuple[Floats, Floats, Floats],
    ) -> "PackedDataset":
        """Return packed rows with a task's names and units; `statistics`: mean, std, delta_std."""
        return cls(
            task.name,
            task.dt,
            task.states,
            task.actions,
            {name: task.channels[name].unit for name in [*task.columns, *task.outputs]},
            [name for name in task.states if task.channels[name].kind == "angle"],
            episodes,
            values,
            *statistics,
            outputs=task.outputs,
        )

    @property
    def columns(self) -> list[str]:
        """Names of the columns of `values`: states, then actions."""
        return [*self.states, *self.actions]

    def of(self, split: str) -> list[PackedEpisode]:
        """Return the episodes of `split`.

        Raises:
            BadInput: Unknown split.
        """
        if split not in SPLITS:
            where = f"split {split!r}"
            raise BadInput(where, "unknown", expected=f"one of {', '.join(SPLITS)}")
        return [episode for episode in self.episodes if episode.split == split]

    def rows(self, episode: PackedEpisode) -> Packed:
        """Return the (rows, C) float32 view of one episode."""
        return self.values[episode.start : episode.stop]

    def window_starts(self, split: str, length: int, stride: int = 1) -> NDArray[np.int64]:
        """Return the first row of every window of `length` rows that lies inside one episode.

        Args:
            split: train, validation or test.
            length: rows of a window, such as history + horizon.
            stride: rows between the starts of neighboring windows.
        """
        if length < 1 or stride < 1:
            where = "a window's length and stride"
            raise BadInput(where, f"{length} and {stride}", expected="both >= 1")
        starts = [
            np.arange(episode.start, episode.stop - length + 1, stride, dtype=np.int64)
            for episode in self.of(split)
        ]
        return np.concatenate([np.empty(0, np.int64), *starts])


def create_values(
    folder: Path, rows: int, columns: int
) -> np.memmap[tuple[int, ...], np.dtype[np.float32]]:
    """Create the file of packed rows in `folder` and return it as a writable (rows, columns) map.

    Rows are written to disk one episode at a time, which bounds the memory of packing.
    """
    return np.lib.format.open_memmap(
        folder / VALUES, mode="w+", dtype=np.float32, shape=(rows, columns)
    )


def write_description(folder: Path, dataset: PackedDataset) -> None:
    """Write `dataset.json`, which `load_dataset` reads next to the rows."""
    description = Description(
        task=dataset.task,
        dt=dataset.dt,
        states=dataset.states,
        actions=dataset.actions,
        units=dataset.units,
        angles=dataset.angles,
        episodes=dataset.episodes,
        statistics=Statistics(
            dataset.mean.tolist(), dataset.std.tolist(), dataset.delta_std.tolist()
        ),
        outputs=dataset.outputs,
    )
    write_json(folder / DESCRIPTION, FORMAT.stamp(to_json_value(description)))


def load_dataset(home: Home, ref: ArtifactRef) -> PackedDataset:
    """Open a dataset or training set; its rows are memory-mapped read-only.

    Raises:
        CorruptArtifact: A file is missing or damaged.
    """
    return read_packed(open_ref(home, ref))


def read_packed(folder: Path) -> PackedDataset:
    """Read the folder of a dataset or training set without verifying its digests."""
    path = folder / DESCRIPTION
    about = from_json_value(FORMAT.open(path, read_json(path)), Description, path)
    outputs = len(about.outputs)
    numbers = np.load(folder / NUMBERS, mmap_mode="r")[:, :outputs] if outputs else None
    return PackedDataset(
        about.task,
        about.dt,
        about.states,
        about.actions,
        about.units,
        about.angles,
        about.episodes,
        np.load(folder / VALUES, mmap_mode="r"),
        np.asarray(about.statistics.mean, np.float64),
        np.asarray(about.statistics.std, np.float64),
        np.asarray(about.statistics.delta_std, np.float64),
        about.outputs,
        numbers,
    )
