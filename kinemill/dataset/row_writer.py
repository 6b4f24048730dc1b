"""Write the segments of a version: linked or copied from the previous version, or read anew.

Symbols: n rows of a piece, P pieces, k columns, C channels, S states.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.dataset.aux_arrays import open_aux
from kinemill.dataset.description import Description, Statistics, write_description
from kinemill.dataset.incremental import MOMENTS, PreviousVersion, runs
from kinemill.dataset.layout import Layout, NewSegment
from kinemill.dataset.listing import write_listing
from kinemill.dataset.packed import Floats, Packed, PackedDataset, read_packed
from kinemill.dataset.precision import (
    Extent,
    coarse_channels,
    extent_of_rows,
    merge_extents,
    refuse_lost_motion,
)
from kinemill.dataset.segments import (
    VALUES,
    Segment,
    SegmentMoments,
    create_segment,
    key_of,
    link_segment,
    write_segment,
)
from kinemill.errors import CorruptArtifact
from kinemill.runtime import whole_turns
from kinemill.store import Json, digest
from kinemill.task import Task
from kinemill.validate.episodes import Episode


class RowWriter:
    """Writer of the segments of a version, with their statistics and auxiliary arrays.

    Args:
        task: task with the channels.
        folder: folder of the version.
        previous: version whose segments and rows are reused.
    """

    def __init__(self, task: Task, folder: Path, previous: PreviousVersion | None) -> None:
        self._task = task
        self._folder = folder
        self._previous = previous
        self._format = digest([task.columns, task.part("dt", "channels")])
        self._aux = open_aux(task, folder)
        self._aux_names = [name for name in task.numbers if name not in task.columns]
        self._extents: list[Extent] = []
        self._segments: list[Segment] = []

    def write(self, layout: Layout, episodes: Sequence[Episode]) -> PackedDataset:
        """Write all segments, their listings and the description; return the dataset.

        Args:
            layout: segments, in the order of their rows, unused ones last.
            episodes: at least those that the previous version lacks; the column `source` of the
                pieces is the index of their episode.

        Raises:
            BadInput: float32 loses the motion of a channel.
            CorruptArtifact: An episode has a value that is no finite float32.
        """
        unused = list[Segment]()
        for part in layout:
            is_kept = isinstance(part, Segment)
            segment = self._keep(part) if is_kept else self._write(part, episodes)
            (unused if segment.split == "unused" else self._segments).append(segment)
        for extent in self._all_extents():
            refuse_lost_motion(self._task, extent)
        if self._aux:
            self._aux.finish(self._segments)
        write_description(self._folder, self._describe(unused))
        return read_packed(self._folder)

    def _describe(self, unused: list[Segment]) -> Description:
        task = self._task
        training = [segment for segment in self._segments if segment.split == "train"]
        statistics = _statistics(training, len(task.columns))
        return Description(
            task.name,
            task.dt,
            task.states,
            task.actions,
            {name: task.channels[name].unit for name in [*task.columns, *task.outputs]},
            [name for name in task.states if task.channels[name].kind == "angle"],
            self._segments,
            Statistics(*(statistic.tolist() for statistic in statistics)),
            task.outputs,
            unused,
        )

    def _keep(self, segment: Segment) -> Segment:
        """Link a segment of the previous version and its listing."""
        assert self._previous, "kept segments are those of a previous version"
        source = self._previous.folder
        link_segment(source, self._folder, segment.listing)
        if segment.key:
            self._link(segment, set(self._previous.read(segment)["recording"]) if self._aux else ())
        return segment

    def _link(self, segment: Segment, recordings: Collection[str]) -> None:
        assert self._previous
        link_segment(self._previous.folder, self._folder, segment.key)
        if self._aux:
            self._aux.refer(self._previous.folder, set(recordings))

    def _write(self, part: NewSegment, episodes: Sequence[Episode]) -> Segment:
        """Write a segment, or link its rows, and write its listing; unused pieces have no rows."""
        pieces = part.pieces
        source = self._previous.folder if self._previous else None
        if part.split == "unused":
            segment = Segment("", int(pieces["rows"].sum()))
        else:
            segment = self._segment(pieces, episodes)
        return replace(
            segment,
            split=part.split,
            prefix=part.prefix,
            listing=write_listing(self._folder, pieces, source),
            episodes=len(pieces),
        )

    def _segment(self, pieces: pl.DataFrame, episodes: Sequence[Episode]) -> Segment:
        """Link the segment of some pieces, or write it."""
        key = key_of(self._format, pieces)
        previous = self._previous
        if previous and (segment := previous.by_key.get(key)):
            self._link(segment, pieces["recording"])
            return segment
        rows = pieces["rows"].to_numpy()
        columns = len(self._task.columns)
        total = int(rows.sum())
        stops = np.cumsum(rows)
        values = create_segment(self._folder, VALUES, key, (total, columns), np.float32)
        moments = np.zeros((len(rows), 2, columns + len(self._task.states)))
        if self._aux:
            self._aux.open(key, total)
        new = np.arange(len(rows))
        if previous:
            new = self._copy(previous, pieces, values, moments)
        for number in new.tolist():
            piece = pieces.row(number, named=True)
            stop = int(stops[number])
            span = slice(stop - piece["rows"], stop)
            values[span], moments[number] = self._read(piece, episodes[piece["source"]], span)
        values.flush()
        write_segment(self._folder, MOMENTS, key, moments.reshape(len(rows), -1))
        return Segment(key, total, _merge_pieces(rows, moments, columns))

    def _copy(
        self, previous: PreviousVersion, pieces: pl.DataFrame, values: Packed, moments: Floats
    ) -> NDArray[np.int64]:
        """Copy what the previous version has; return the numbers of the pieces still to be read."""
        starts = pieces["old_start"].fill_null(-1).to_numpy()
        numbers = pieces["old_number"].fill_null(0).to_numpy()
        stops = np.cumsum(pieces["rows"])
        copied = np.flatnonzero(starts >= 0)
        if len(copied):
            moments[copied] = previous.moments.take(numbers[copied]).reshape(-1, *moments.shape[1:])
        spans = list(runs(stops - pieces["rows"].to_numpy(), stops, starts))
        for rows, old in spans:
            values[rows] = previous.values.view(old.start, old.stop)
        if self._aux:
            self._aux.copy_from(previous.folder, spans)
            self._aux.refer(previous.folder, set(pieces["recording"].gather(copied).to_list()))
        return np.flatnonzero(starts < 0)

    def _read(self, piece: Json, episode: Episode, rows: slice) -> tuple[Floats, Floats]:
        """Return the rows (n, C) of a piece and their moments (2, C + S), read from its episode."""
        frame = episode.read().slice(piece["first"], piece["rows"])
        content = _content(self._task, episode, piece["first"], frame)
        deltas = np.diff(content[:, : len(self._task.states)], axis=0)
        if self._aux:
            self._aux.add(rows, piece["recording"], piece["name"], frame, episode.path)
        if self._aux_names and len(frame) > 1:
            numbers = frame.select(self._aux_names).to_numpy().astype(np.float64)
            self._extents.append(extent_of_rows(self._aux_names, numbers))
        return content, np.concatenate([moments(content), moments(deltas)], axis=1)

    def coarse(self) -> list[str]:
        """Return a sentence for each channel that float32 holds coarsely."""
        extents = self._all_extents()
        return [text for extent in extents for text in coarse_channels(self._task, extent)]

    def _all_extents(self) -> list[Extent]:
        """Return the extents of states and actions, and of other numbers of the pieces read."""
        columns = len(self._task.columns)
        parts = [segment.moments for segment in self._segments if segment.moments]
        mean, std, delta_std = _statistics(self._segments, columns)
        change = np.concatenate([delta_std, std[len(delta_std) :]])
        reach = np.max([part.reach for part in parts], axis=0)
        rows = sum(segment.rows for segment in self._segments)
        within = np.sqrt(np.sum([part.within for part in parts], axis=0) / rows)
        extent = Extent(self._task.columns, mean, reach, std, within, change)
        return [extent, merge_extents(self._extents)] if self._extents else [extent]


def _merge_pieces(rows: NDArray[np.int64], moments: Floats, columns: int) -> SegmentMoments:
    """Return the moments of a segment, given those of its pieces (P, 2, C + S)."""
    mean, squares = merge(rows, moments[:, :, :columns])
    # A piece of n rows has n - 1 changes; none leads from one piece to the next.
    delta_mean, delta_squares = merge(rows - 1, moments[:, :, columns:])
    # Three deviations from the mean of each piece, because segments store no extremes.
    reach = np.abs(moments[:, 0, :columns]) + 3.0 * np.sqrt(moments[:, 1, :columns] / rows[:, None])
    return SegmentMoments(
        [*mean.tolist(), *delta_mean.tolist()],
        [*squares.tolist(), *delta_squares.tolist()],
        moments[:, 1, :columns].sum(axis=0).tolist(),
        reach.max(axis=0).tolist(),
        int((rows - 1).sum()),
    )


def _statistics(listed: Sequence[Segment], columns: int) -> tuple[Floats, Floats, Floats]:
    """Return mean and std (C,) of the rows of segments, and std (S,) of the changes of states."""
    parts = [(segment.rows, segment.moments) for segment in listed if segment.moments]
    moments = np.array([[part.mean, part.squares] for _, part in parts])
    mean, std = join(np.array([rows for rows, _ in parts]), moments[:, :, :columns])
    changes = np.array([part.changes for _, part in parts])
    return mean, std, join(changes, moments[:, :, columns:])[1]


def _content(task: Task, episode: Episode, first: int, frame: pl.DataFrame) -> Floats:
    """Return the (n, C) float64 rows of a piece, angles shifted to start within half a turn."""
    content = np.array(frame.select(task.columns).to_numpy(), np.float64)
    # float32 near 1e4 rad resolves only 1 mrad, and whole turns carry no information.
    angle = np.array([task.channels[name].kind == "angle" for name in task.columns])
    content -= whole_turns(content[0], angle)
    largest = float(np.finfo(np.float32).max)
    # `not <=` includes NaN.
    bad = np.argwhere(~(np.abs(content) <= largest))
    if len(bad):
        row, column = bad[0]
        raise CorruptArtifact(
            f"episode {episode.id}, row {first + row}, {task.columns[column]}",
            f"{content[row, column]}",
            expected="a finite number, which validation ensures",
        )
    return content


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
    """Return mean and standard deviation, (k,) each, of the rows of all pieces; see `merge`."""
    mean, squares = merge(counts, pieces)
    # Divide by n: the deviation of these rows, not an estimate for a population.
    return mean, np.sqrt(squares / max(int(counts.sum()), 1))


def merge(counts: NDArray[np.int64], pieces: Floats) -> tuple[Floats, Floats]:
    """Return mean and sum of squares about it, (k,) each, of the rows of all pieces.

    Chan, Golub and LeVeque 1983, eq. (2.1), for all pieces at once: no cancellation. Sums are taken
    in pairs, so with u = 2^-53 the mean is off by at most (log2 P + 4) u max|x - x_0|, and the
    squares by the factor (log2 P + 6) u and the square of that error in the mean. Pieces merge to
    segments and segments to a version, so both bounds count twice.

    Args:
        counts: (P,) rows of each piece.
        pieces: (P, 2, k) `moments` of each piece.
    """
    pieces = pieces[counts > 0]
    counts = counts[counts > 0]
    if not len(counts):
        return np.zeros(pieces.shape[2]), np.zeros(pieces.shape[2])
    first = pieces[0, 0]
    mean = first + _pairwise_sum(counts[:, None] * (pieces[:, 0] - first)) / counts.sum()
    squares = _pairwise_sum(pieces[:, 1] + counts[:, None] * (pieces[:, 0] - mean) ** 2)
    return mean, squares


def _pairwise_sum(values: Floats) -> Floats:
    """Return the (k,) sums of (P, k) values; numpy adds contiguous values in pairs."""
    return np.ascontiguousarray(values.T).sum(axis=1)
