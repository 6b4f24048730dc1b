"""Packed episodes: segments of rows, one description, and sliding windows within episodes.

The rows of a version are cut into segments. Each is a file of its own, which never changes and
which versions share by hard link; see `kinemill.dataset.segments`. Readers see one array.

Symbols: N rows of all episodes, C channels (states, then actions), S states, Y output channels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.dataset.description import SPLITS, read_description
from kinemill.dataset.listing import EPISODE, SCHEMA, scan_used
from kinemill.dataset.segments import VALUES, SegmentedRows, map_segments
from kinemill.errors import BadInput
from kinemill.store import ArtifactRef, Home, open_ref
from kinemill.task import Task

NUMBERS = "numbers"  # files of outputs, then observations and rewards

Floats = NDArray[np.float64]
Packed = NDArray[np.float32]


@dataclass(frozen=True)
class PackedEpisode:
    """An episode within the packed rows: `start` to `stop`, within one segment.

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


class ListedEpisodes(Sequence[PackedEpisode]):
    """The episodes of a table, which is read, and becomes objects, on first use.

    Args:
        table: the columns `kinemill.dataset.listing.EPISODE` and `rows`, one row for each episode.
    """

    def __init__(self, table: pl.LazyFrame) -> None:
        self._table = table

    @cached_property
    def table(self) -> pl.DataFrame:
        """The table."""
        return self._table.collect()

    @cached_property
    def _objects(self) -> list[PackedEpisode]:
        return [PackedEpisode(*row) for row in self.table.select(EPISODE).iter_rows()]

    def __len__(self) -> int:
        return self.table.height

    def __iter__(self) -> Iterator[PackedEpisode]:
        return iter(self._objects)

    @overload
    def __getitem__(self, index: int) -> PackedEpisode: ...
    @overload
    def __getitem__(self, index: slice) -> list[PackedEpisode]: ...
    def __getitem__(self, index: int | slice) -> PackedEpisode | list[PackedEpisode]:
        """Return one episode, or several."""
        return self._objects[index]


@dataclass(frozen=True, eq=False)
class PackedDataset:
    """A dataset version: rows, episodes, and statistics of training.

    `rows` and `take` read from the segments; `values` joins several of them in memory.

    Attributes:
        dt: time step, s.
        states: state channels, the first S columns.
        actions: action channels, the columns after the states.
        units: unit of each channel.
        angles: states that are angles, rad, unwrapped within an episode.
        episodes: train, validation, test episodes, each sorted by id.
        segments: rows one segment after the other, each (n, C) float32 in task units.
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
    episodes: Sequence[PackedEpisode]
    segments: Sequence[Packed]
    mean: Floats
    std: Floats
    delta_std: Floats
    outputs: list[str] = field(default_factory=list[str])
    output_values: Packed | None = None

    @classmethod
    def of_task(
        cls,
        task: Task,
        episodes: Sequence[PackedEpisode],
        segments: Sequence[Packed],
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
            segments,
            *statistics,
            outputs=task.outputs,
        )

    @cached_property
    def _joined(self) -> SegmentedRows[np.float32]:
        return SegmentedRows(self.segments)

    @cached_property
    def values(self) -> Packed:
        """All rows (N, C): memory-mapped if there is one segment, else a copy in memory."""
        return self.view(0, self.total_rows)

    @cached_property
    def table(self) -> pl.DataFrame:
        """Table of the episodes, in their order, with the columns `EPISODE` and `rows`."""
        listed = self.episodes
        return listed.table if isinstance(listed, ListedEpisodes) else episode_table(listed)

    @property
    def total_rows(self) -> int:
        """N, the number of rows of all episodes."""
        return len(self._joined)

    def copy_values(self) -> Packed:
        """Return a new writable array of all rows (N, C), read segment by segment."""
        return self._joined.copy()

    def view(self, start: int, stop: int) -> Packed:
        """Return the rows `start` to `stop`, (n, C): a view within one segment, else a copy."""
        return self._joined.view(start, stop)

    def take(self, rows: NDArray[np.int64]) -> Packed:
        """Return rows by number, (...,) -> (..., C), without joining the segments."""
        return self._joined.take(rows)

    @property
    def columns(self) -> list[str]:
        """Names of the columns of the rows: states, then actions."""
        return [*self.states, *self.actions]

    def of(self, split: str) -> list[PackedEpisode]:
        """Return the episodes of `split`.

        Raises:
            BadInput: Unknown split.
        """
        _require_split(split)
        return [episode for episode in self.episodes if episode.split == split]

    def rows(self, episode: PackedEpisode) -> Packed:
        """Return the (rows, C) float32 view of one episode."""
        return self.view(episode.start, episode.stop)

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
        _require_split(split)
        episodes = self.table.filter(pl.col("split") == split)
        starts = episodes["start"].to_numpy()
        # 0 for an episode shorter than a window, where the quotient is negative.
        counts = np.maximum(0, (episodes["stop"].to_numpy() - starts - length) // stride + 1)
        # Number of each window in its episode: 0, 1, ..., count - 1.
        numbers = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(starts, counts) + stride * numbers


def _require_split(split: str) -> None:
    if split not in SPLITS:
        raise BadInput(f"split {split!r}", "unknown", expected=f"one of {', '.join(SPLITS)}")


def load_dataset(home: Home, ref: ArtifactRef) -> PackedDataset:
    """Open a dataset or training set; its rows are memory-mapped read-only.

    Raises:
        CorruptArtifact: A file is missing or damaged.
    """
    return read_packed(open_ref(home, ref))


def episode_table(episodes: Sequence[PackedEpisode]) -> pl.DataFrame:
    """Return a table of episodes with the columns of `kinemill.dataset.listing`."""
    names = ["id", "recording", "name", "split", "start", "stop", "rows", "task", "weight"]
    columns = {name: [getattr(episode, name) for episode in episodes] for name in names}
    return pl.DataFrame(columns, schema={name: SCHEMA[name] for name in names})


def read_packed(folder: Path) -> PackedDataset:
    """Read the folder of a dataset or training set without verifying its digests."""
    about = read_description(folder)
    outputs = len(about.outputs)
    numbers = SegmentedRows(map_segments(folder, NUMBERS, about.segments)) if outputs else None
    return PackedDataset(
        about.task,
        about.dt,
        about.states,
        about.actions,
        about.units,
        about.angles,
        ListedEpisodes(scan_used(folder)),
        map_segments(folder, VALUES, about.segments),
        np.asarray(about.statistics.mean, np.float64),
        np.asarray(about.statistics.std, np.float64),
        np.asarray(about.statistics.delta_std, np.float64),
        about.outputs,
        numbers.view(0, len(numbers))[:, :outputs] if numbers else None,
    )
