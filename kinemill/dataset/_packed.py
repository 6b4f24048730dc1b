"""Packed episodes: one array of rows, one description, and sliding windows inside the episodes.

Shapes: N rows of all episodes one after the other, C channels (states, then actions), S states.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.store import ArtifactRef, open_ref, read_json, write_json
from kinemill.store.formats import Format
from kinemill.store.home import Home
from kinemill.task import Task

VALUES, DESCRIPTION = "values.npy", "dataset.json"
SPLITS = ("train", "validation", "test")

FORMAT = Format("dataset description", 2)  # 1 had no tasks and weights, which have defaults

Floats = NDArray[np.float64]
Packed = NDArray[np.float32]


@dataclass(frozen=True)
class PackedEpisode:
    """Where one episode lies in the packed rows: `values[start:stop]`.

    Attributes:
        id: of the episode, or of the piece of one.
        recording: content hash of its recording.
        name: name of its recording at first sight.
        split: train, validation or test.
        start: its first row.
        stop: the row after its last.
        task: that it was recorded for, if not the dataset's.
        weight: how often its windows are drawn in training, over the mean of all windows.
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


@dataclass(frozen=True, eq=False)
class PackedDataset:
    """A dataset version, ready to cut windows from.

    Attributes:
        task: name of the task it was made for.
        dt: time step, s.
        states: state channels, the first S columns.
        actions: action channels, the columns after them.
        units: unit of each channel.
        angles: states that are angles, rad, unwrapped within an episode.
        episodes: where each episode lies; train, validation, test, each sorted by id.
        values: (N, C) float32 in task units.
        mean: (C,) over the training rows.
        std: (C,) over the training rows; 0 where a channel never changes.
        delta_std: (S,) standard deviation of state[k+1] - state[k] in training episodes.
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

    @classmethod
    def describing(
        cls,
        task: Task,
        episodes: list[PackedEpisode],
        values: Packed,
        statistics: tuple[Floats, Floats, Floats],
    ) -> "PackedDataset":
        """Describe packed rows in the words of a task; statistics are mean, std, delta_std."""
        mean, std, delta_std = statistics
        return cls(
            task=task.name,
            dt=task.dt,
            states=task.states,
            actions=task.actions,
            units={name: task.channels[name].unit for name in task.columns},
            angles=[name for name in task.states if task.channels[name].kind == "angle"],
            episodes=episodes,
            values=values,
            mean=mean,
            std=std,
            delta_std=delta_std,
        )

    @property
    def columns(self) -> list[str]:
        """States, then actions: the order of the columns of `values`."""
        return [*self.states, *self.actions]

    def of(self, split: str) -> list[PackedEpisode]:
        """Return the episodes of `split`.

        Raises:
            BadInput: no split is called that.
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
            split: whose episodes.
            length: rows of a window, such as history + horizon.
            stride: rows between the starts of neighboring windows of one episode.
        """
        if length < 1 or stride < 1:
            where = "a window's length and stride"
            raise BadInput(where, f"{length} and {stride}", expected="both >= 1")
        starts = [
            np.arange(episode.start, episode.stop - length + 1, stride, dtype=np.int64)
            for episode in self.of(split)
        ]
        return np.concatenate([np.empty(0, np.int64), *starts])


def create_values(folder: Path, rows: int, columns: int) -> np.memmap[Any, np.dtype[np.float32]]:
    """Create the file of packed rows in `folder` and return it as a writable (rows, columns) map.

    Rows go straight to disk, so that packing needs the memory of one episode, not of all.
    """
    return np.lib.format.open_memmap(
        folder / VALUES, mode="w+", dtype=np.float32, shape=(rows, columns)
    )


def write_description(folder: Path, dataset: PackedDataset) -> None:
    """Write what `load_dataset` needs beside the rows."""
    statistics = {
        "mean": dataset.mean.tolist(),
        "std": dataset.std.tolist(),
        "delta_std": dataset.delta_std.tolist(),
    }
    description = {
        "task": dataset.task,
        "dt": dataset.dt,
        "states": dataset.states,
        "actions": dataset.actions,
        "units": dataset.units,
        "angles": dataset.angles,
        "episodes": [vars(episode) for episode in dataset.episodes],
        "statistics": statistics,
    }
    write_json(folder / DESCRIPTION, FORMAT.stamp(description))


def load_dataset(home: Home, ref: ArtifactRef) -> PackedDataset:
    """Open a dataset or a training set; its rows are mapped read-only, not read.

    Raises:
        CorruptArtifact: a file is missing, or its bytes have changed.
    """
    return read_packed(open_ref(home, ref))


def read_packed(folder: Path) -> PackedDataset:
    """Read the folder of a dataset or training set, its bytes unchecked."""
    description = FORMAT.open(folder / DESCRIPTION, read_json(folder / DESCRIPTION))
    statistics = description.pop("statistics")
    episodes = [PackedEpisode(**episode) for episode in description.pop("episodes")]
    return PackedDataset(
        **description,
        episodes=episodes,
        values=np.load(folder / VALUES, mmap_mode="r"),
        mean=np.asarray(statistics["mean"], np.float64),
        std=np.asarray(statistics["std"], np.float64),
        delta_std=np.asarray(statistics["delta_std"], np.float64),
    )
