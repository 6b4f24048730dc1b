"""The packed rows of a version as they are written: copied from the last version, or read."""

from collections.abc import Sequence
from math import pi
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl

from kinemill.dataset._aux_arrays import open_beside
from kinemill.dataset._incremental import MOMENTS, Last, PublishedEpisode, Source, runs
from kinemill.dataset._packed import (
    Floats,
    PackedDataset,
    PackedEpisode,
    create_values,
    write_description,
)
from kinemill.dataset._precision import (
    Extent,
    coarse_channels,
    extent_of_rows,
    refuse_lost_motion,
    widest,
)
from kinemill.dataset._split import Piece
from kinemill.dataset._statistics import join, moments
from kinemill.errors import CorruptArtifact
from kinemill.task import Task

_ENDS = ("start", "stop")


class ReadableEpisode(PublishedEpisode, Protocol):
    """An accepted episode whose rows can be read."""

    @property
    def path(self) -> Path:
        """Where its rows lie."""
        ...

    def read(self) -> pl.DataFrame:
        """Return `time_s` and the task's channels, in task units."""
        ...


class Packing:
    """The rows of a version as they are written, with what they come to and what lies beside them.

    Args:
        task: names the channels.
        folder: of the version.
        used: pieces in the order of their rows.
        placed: where they lie.
    """

    def __init__(
        self, task: Task, folder: Path, used: Sequence[Piece], placed: list[PackedEpisode]
    ) -> None:
        self._task, self._folder, self._used, self._placed = task, folder, used, placed
        columns, states = len(task.columns), len(task.states)
        self._values = create_values(folder, placed[-1].stop, columns)
        self._moments: Floats = np.zeros((len(used), 2, columns + states))
        self._beside = open_beside(task, folder, placed[-1].stop)
        self._others = [name for name in task.numbers if name not in task.columns]
        self._extents: list[Extent] = []

    def take_over(self, last: Last | None, sources: Sequence[Source]) -> list[int]:
        """Copy what the last version has; return the numbers of the pieces that are to be read."""
        if last is None:
            return list(range(len(sources)))
        found = np.array([last.numbers.get(source, -1) for source in sources])
        taken = np.flatnonzero(found >= 0)
        self._moments[taken] = last.moments[found[taken]]
        starts, stops = (np.array([getattr(one, at) for one in self._placed]) for at in _ENDS)
        before = np.full(len(found), -1)
        before[taken] = last.starts[found[taken]]
        copied, values = list(runs(starts, stops, before)), last.values
        for now, then in copied:
            self._values[now] = values[then]
        if self._beside:
            recordings = {self._used[number].recording for number in taken.tolist()}
            self._beside.take_over(last.folder, copied, recordings)
        return np.flatnonzero(found < 0).tolist()

    def read(self, number: int, episode: ReadableEpisode) -> None:
        """Read the rows of a piece from its episode."""
        piece, place = self._used[number], self._placed[number]
        frame = episode.read().slice(piece.first, piece.last - piece.first)
        content = _content(self._task, episode, piece, frame)
        deltas = np.diff(content[:, : len(self._task.states)], axis=0)
        self._moments[number] = np.concatenate([moments(content), moments(deltas)], axis=1)
        self._values[place.start : place.stop] = content
        if self._beside:
            self._beside.add(piece, place, frame, episode.path)
        if self._others and len(frame) > 1:
            others = frame.select(self._others).to_numpy().astype(np.float64)
            self._extents.append(extent_of_rows(self._others, others))

    def finish(self) -> PackedDataset:
        """Bring everything to the files, and return the version.

        Raises:
            BadInput: float32 loses the motion of a channel.
        """
        for extent in self._all_extents():
            refuse_lost_motion(self._task, extent)
        self._values.flush()
        np.save(self._folder / MOMENTS, self._moments)
        if self._beside:
            self._beside.finish()
        dataset = self._describe()
        write_description(self._folder, dataset)
        return dataset

    def coarse(self) -> list[str]:
        """Return a sentence for each channel that float32 holds coarsely."""
        extents = self._all_extents()
        return [text for extent in extents for text in coarse_channels(self._task, extent)]

    def _all_extents(self) -> list[Extent]:
        """Return the extents of states and actions, and of other numbers of the pieces read."""
        names, columns = self._task.columns, len(self._task.columns)
        rows = np.array([one.rows for one in self._placed])
        own = self._moments[:, :, :columns]
        middle, spread = join(rows, own)
        moved = join(rows - 1, self._moments[:, :, columns:])[1]
        change = np.concatenate([moved, spread[len(moved) :]])
        reach = np.abs(own[:, 0]) + 3.0 * np.sqrt(own[:, 1] / rows[:, None])
        within = np.sqrt(own[:, 1].sum(axis=0) / rows.sum())
        found = Extent(names, middle, reach.max(axis=0), spread, within, change)
        return [found, widest(self._extents)] if self._extents else [found]

    def _describe(self) -> PackedDataset:
        columns = len(self._task.columns)
        rows = np.array([one.rows for one in self._placed if one.split == "train"])
        own = self._moments[: len(rows)]  # training comes first
        mean, std = join(rows, own[:, :, :columns])
        delta_std = join(rows - 1, own[:, :, columns:])[1]
        return PackedDataset.describing(
            self._task, self._placed, self._values, (mean, std, delta_std)
        )


def _content(task: Task, episode: ReadableEpisode, piece: Piece, frame: pl.DataFrame) -> Floats:
    """Return the (rows, C) float64 rows of a piece, angles shifted to start within half a turn."""
    frame = frame.select(task.columns)
    content = np.array(frame.to_numpy(), np.float64)
    for column, name in enumerate(task.columns):
        if task.channels[name].kind == "angle":
            content[:, column] -= whole_turns(float(content[0, column]))
    largest = float(np.finfo(np.float32).max)
    bad = np.argwhere(~(np.abs(content) <= largest))
    if len(bad):
        row, column = bad[0]
        where = f"episode {episode.id}, row {piece.first + row}, {task.columns[column]}"
        raise CorruptArtifact(
            where,
            f"{content[row, column]}",
            expected="a finite number, as validate promises",
        )
    return content


def whole_turns(angle: float) -> float:
    """Return the multiple of 2π, rad, without which `angle` lies in [-π, π).

    A float32 near 1e4 rad resolves 1 mrad only; whole turns carry nothing.
    """
    return 2.0 * pi * float(np.floor((angle + pi) / (2.0 * pi)))
