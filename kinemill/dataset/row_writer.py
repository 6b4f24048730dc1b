"""Write the packed rows of a version: copied from the previous version, or read from episodes.

Symbols: n rows of a piece, P pieces, k columns, C channels, S states.
"""

from collections.abc import Sequence
from math import pi
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.dataset.aux_arrays import open_aux
from kinemill.dataset.incremental import MOMENTS, PreviousVersion, PublishedEpisode, Source, runs
from kinemill.dataset.packed import (
    Floats,
    PackedDataset,
    PackedEpisode,
    create_values,
    write_description,
)
from kinemill.dataset.precision import (
    Extent,
    coarse_channels,
    extent_of_rows,
    merge_extents,
    refuse_lost_motion,
)
from kinemill.dataset.split import Piece
from kinemill.errors import CorruptArtifact
from kinemill.task import Task


class ReadableEpisode(PublishedEpisode, Protocol):
    """An accepted episode whose rows can be read."""

    @property
    def path(self) -> Path:
        """File of its rows."""
        ...

    def read(self) -> pl.DataFrame:
        """Return `time_s` and the task's channels, in task units."""
        ...


class RowWriter:
    """Writer of the rows of a version, with their statistics and auxiliary arrays.

    Args:
        task: task with the channels.
        folder: folder of the version.
        pieces: used pieces in the order of their rows.
        packed: their rows in the packed array.
    """

    def __init__(
        self, task: Task, folder: Path, pieces: Sequence[Piece], packed: list[PackedEpisode]
    ) -> None:
        self._task, self._folder, self._pieces, self._packed = task, folder, pieces, packed
        columns, states = len(task.columns), len(task.states)
        self._values = create_values(folder, packed[-1].stop, columns)
        self._moments: Floats = np.zeros((len(pieces), 2, columns + states))
        self._aux = open_aux(task, folder, packed[-1].stop)
        self._aux_names = [name for name in task.numbers if name not in task.columns]
        self._extents: list[Extent] = []

    def copy_from(self, previous: PreviousVersion | None, sources: Sequence[Source]) -> list[int]:
        """Copy rows of the previous version; return the indices of the pieces still to be read."""
        if previous is None:
            return list(range(len(sources)))
        numbers = np.array([previous.numbers.get(source, -1) for source in sources])
        copied = np.flatnonzero(numbers >= 0)
        self._moments[copied] = previous.moments[numbers[copied]]
        starts = np.array([one.start for one in self._packed])
        stops = np.array([one.stop for one in self._packed])
        old_starts = np.full(len(numbers), -1)
        old_starts[copied] = previous.starts[numbers[copied]]
        spans, values = list(runs(starts, stops, old_starts)), previous.values
        for new, old in spans:
            self._values[new] = values[old]
        if self._aux:
            recordings = {self._pieces[number].recording for number in copied.tolist()}
            self._aux.copy_from(previous.folder, spans, recordings)
        return np.flatnonzero(numbers < 0).tolist()

    def read(self, number: int, episode: ReadableEpisode) -> None:
        """Read the rows of a piece from its episode."""
        piece, packed = self._pieces[number], self._packed[number]
        frame = episode.read().slice(piece.first, piece.rows)
        content = _content(self._task, episode, piece, frame)
        deltas = np.diff(content[:, : len(self._task.states)], axis=0)
        self._moments[number] = np.concatenate([moments(content), moments(deltas)], axis=1)
        self._values[packed.start : packed.stop] = content
        if self._aux:
            self._aux.add(packed, frame, episode.path)
        if self._aux_names and len(frame) > 1:
            numbers = frame.select(self._aux_names).to_numpy().astype(np.float64)
            self._extents.append(extent_of_rows(self._aux_names, numbers))

    def finish(self) -> PackedDataset:
        """Flush and describe all files; return the dataset.

        Raises:
            BadInput: float32 loses the motion of a channel.
        """
        for extent in self._all_extents():
            refuse_lost_motion(self._task, extent)
        self._values.flush()
        np.save(self._folder / MOMENTS, self._moments)
        if self._aux:
            self._aux.finish()
        columns = len(self._task.columns)
        rows = np.array([one.rows for one in self._packed if one.split == "train"])
        own = self._moments[: len(rows)]  # training comes first
        mean, std = join(rows, own[:, :, :columns])
        delta_std = join(rows - 1, own[:, :, columns:])[1]
        statistics = (mean, std, delta_std)
        dataset = PackedDataset.of_task(self._task, self._packed, self._values, statistics)
        write_description(self._folder, dataset)
        return dataset

    def coarse(self) -> list[str]:
        """Return a sentence for each channel that float32 holds coarsely."""
        extents = self._all_extents()
        return [text for extent in extents for text in coarse_channels(self._task, extent)]

    def _all_extents(self) -> list[Extent]:
        """Return the extents of states and actions, and of other numbers of the pieces read."""
        names, columns = self._task.columns, len(self._task.columns)
        rows = np.array([one.rows for one in self._packed])
        own = self._moments[:, :, :columns]
        mean, std = join(rows, own)
        delta_std = join(rows - 1, self._moments[:, :, columns:])[1]
        change = np.concatenate([delta_std, std[len(delta_std) :]])
        reach = np.abs(own[:, 0]) + 3.0 * np.sqrt(own[:, 1] / rows[:, None])
        within = np.sqrt(own[:, 1].sum(axis=0) / rows.sum())
        extent = Extent(names, mean, reach.max(axis=0), std, within, change)
        return [extent, merge_extents(self._extents)] if self._extents else [extent]


def _content(task: Task, episode: ReadableEpisode, piece: Piece, frame: pl.DataFrame) -> Floats:
    """Return the (n, C) float64 rows of a piece, angles shifted to start within half a turn."""
    content = np.array(frame.select(task.columns).to_numpy(), np.float64)
    for column, name in enumerate(task.columns):
        if task.channels[name].kind == "angle":
            content[:, column] -= whole_turns(float(content[0, column]))
    largest = float(np.finfo(np.float32).max)
    bad = np.argwhere(~(np.abs(content) <= largest))
    if len(bad):
        row, column = bad[0]
        raise CorruptArtifact(
            f"episode {episode.id}, row {piece.first + row}, {task.columns[column]}",
            f"{content[row, column]}",
            expected="a finite number, which validation ensures",
        )
    return content


def whole_turns(angle: float) -> float:
    """Return the multiple of 2π, rad, to subtract so that `angle` lies in [-π, π).

    float32 near 1e4 rad resolves only 1 mrad, and whole turns carry no information.
    """
    return 2.0 * pi * float(np.floor((angle + pi) / (2.0 * pi)))


def moments(rows: Floats) -> Floats:
    """Return mean and sum of squares about it, (2, k), of `rows` (n, k); 0 if n is 0.

    Relative to the first row, so that the deviation of a constant channel is exactly 0.
    """
    if not len(rows):
        return np.zeros((2, rows.shape[1]))
    offset = rows - rows[0]
    mean = offset.mean(axis=0)
    return np.stack([rows[0] + mean, ((offset - mean) ** 2).sum(axis=0)])


def join(counts: NDArray[np.int64], pieces: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation, (k,) each, of the rows of all pieces.

    Chan, Golub and LeVeque 1983, eq. (2.1), for all pieces at once: no cancellation.

    Args:
        counts: (P,) rows of each piece.
        pieces: (P, 2, k) `moments` of each piece.
    """
    pieces, counts = pieces[counts > 0], counts[counts > 0]
    if not len(counts):
        return np.zeros(pieces.shape[2]), np.zeros(pieces.shape[2])
    first = pieces[0, 0]
    mean = first + _pairwise_sum(counts[:, None] * (pieces[:, 0] - first)) / counts.sum()
    squares = _pairwise_sum(pieces[:, 1] + counts[:, None] * (pieces[:, 0] - mean) ** 2)
    # Divide by n: the deviation of these rows, not an estimate for a population.
    return mean, np.sqrt(squares / counts.sum())


def _pairwise_sum(values: Floats) -> Floats:
    """Return the (k,) sums of (P, k) values; numpy adds contiguous values in pairs."""
    return np.ascontiguousarray(values.T).sum(axis=1)
