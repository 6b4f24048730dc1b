"""Layout of a version: which pieces form which segment, and which segments are kept.

The cut into segments depends on the set of pieces alone (`kinemill.dataset.segments.cut`). Where
only some recordings differ from the previous version, whole segments take part in the cut like one
piece each; only those that gain, lose or merge pieces are read. So the cost follows the change, and
the result is that of a cut of all pieces.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.dataset.description import SPLITS
from kinemill.dataset.incremental import PreviousVersion, UnchangedPieces
from kinemill.dataset.listing import scan_segment
from kinemill.dataset.segments import Segment, bounds_of, cut, hashes_of

LAYOUT = (*SPLITS, "unused")
_SPLIT = pl.Enum(LAYOUT)
# Columns of a listing in memory with few different values: a number for each piece.
COMPACT = pl.Schema(
    {"split": _SPLIT, "side": _SPLIT, "task": pl.Categorical(), "part": pl.Categorical()}
)


@dataclass(frozen=True)
class NewSegment:
    """Pieces that form a segment.

    They are taken from the table when the segment is written: a sorted copy of a million pieces
    needs 0.4 GB.

    Attributes:
        split: their split.
        prefix: as in `Segment`.
        table: these pieces and those of other new segments, with columns of a listing.
        numbers: numbers of these pieces in the table, in the order of their rows.
    """

    split: str
    prefix: str
    table: pl.DataFrame
    numbers: pl.Series

    @property
    def pieces(self) -> pl.DataFrame:
        """The pieces in the order of their rows."""
        return self.select(*self.table.columns)

    def select(self, *columns: str) -> pl.DataFrame:
        """Return some columns of the pieces."""
        return pl.DataFrame([self.table[column].gather(self.numbers) for column in columns])


Layout = Sequence[Segment | NewSegment]


def lay_out(table: pl.DataFrame, most: int, unchanged: UnchangedPieces | None = None) -> Layout:
    """Return the segments of a version, in the order of their rows, unused ones last.

    `table` holds all pieces, or those of changed recordings. A segment of `most` rows or more is
    cut in two.
    """
    parts = list[Segment | NewSegment]()
    if unchanged:
        unplaced = pl.lit(None, pl.Int64)
        table = table.cast(COMPACT).with_columns(old_start=unplaced, old_number=unplaced)
    for split in LAYOUT:
        numbers = (table["split"] == split).arg_true()
        ids = table["id"].gather(numbers)
        if not ids.is_sorted():  # they usually are, and to sort a million needs 75 MB
            order = ids.arg_sort()
            ids = ids.gather(order)
            numbers = numbers.gather(order)
        if unchanged is None:
            rows = table["rows"].gather(numbers)
            for first, last, prefix in cut(hashes_of(ids), rows.to_numpy(), most):
                parts.append(NewSegment(split, prefix, table, numbers[first:last]))
        else:
            parts += _Cut(split, table[numbers], most, unchanged).parts()
    return parts


def scan_layout(layout: Layout, previous: PreviousVersion | None) -> pl.LazyFrame:
    """Return a lazy table of `split`, `name`, `part` and `rows` of all pieces, in any order."""
    columns = {"split": pl.String, "name": pl.String, "part": pl.String, "rows": pl.Int64}
    # New segments share a table, and hold all its pieces: a column of it is not copied.
    new = {
        id(segment.table): segment.table for segment in layout if isinstance(segment, NewSegment)
    }
    frames = [pl.LazyFrame(schema=columns), *(table.lazy() for table in new.values())]
    for segment in layout:
        if isinstance(segment, Segment):
            assert previous, "kept segments are those of a previous version"
            frames.append(scan_segment(previous.folder, segment, 0))
    return pl.concat([frame.select(*columns).cast(pl.Schema(columns)) for frame in frames])


class _Cut:
    """The cut of one split, in which kept segments count like one piece.

    Args:
        split: the split.
        pieces: pieces of changed recordings, sorted by id.
        most: rows from which a segment is cut in two.
        unchanged: the previous version, and recordings that differ from it.
    """

    def __init__(
        self, split: str, pieces: pl.DataFrame, most: int, unchanged: UnchangedPieces
    ) -> None:
        self._split = split
        self._most = most
        self._changed = unchanged.changed
        self._previous = unchanged.previous
        segments = [segment for segment in self._previous.about.listed if segment.split == split]
        touched = np.concatenate([hashes_of(pieces["id"]), _hashes(unchanged.changed)])
        self._unread = [segment for segment in segments if not _contains(segment.prefix, touched)]
        self._pieces = pieces
        self._open([segment for segment in segments if _contains(segment.prefix, touched)])

    def _open(self, segments: Sequence[Segment]) -> None:
        """Read the pieces of segments, and add those that have not changed."""
        if segments:
            tables = [self._previous.read(segment) for segment in segments]
            old = pl.concat(tables).filter(~pl.col("recording").is_in(self._changed)).cast(COMPACT)
            self._pieces = pl.concat([self._pieces, old], how="diagonal").sort("id")

    def parts(self) -> Layout:
        """Return the segments of the split in the order of their rows."""
        while True:
            number = len(self._pieces)
            starts = [bounds_of(segment.prefix)[0] for segment in self._unread]
            hashes = np.concatenate([hashes_of(self._pieces["id"]), np.array(starts, np.int64)])
            unread_rows = np.array([segment.rows for segment in self._unread], np.int64)
            rows = np.concatenate([self._pieces["rows"].to_numpy(), unread_rows])
            order = np.argsort(hashes, kind="stable")
            cuts = list(cut(hashes[order], rows[order], self._most))
            groups = [order[first:last] for first, last, _ in cuts if last - first > 1]
            merged = [int(index) - number for group in groups for index in group[group >= number]]
            if not merged:
                break
            self._open([self._unread[index] for index in merged])
            self._unread = [
                segment for index, segment in enumerate(self._unread) if index not in merged
            ]
        return [
            replace(self._unread[int(order[first]) - number], prefix=prefix)
            if order[first] >= number
            else NewSegment(self._split, prefix, self._pieces, pl.Series(order[first:last]))
            for first, last, prefix in cuts
        ]


def _hashes(recordings: Set[str]) -> NDArray[np.int64]:
    return hashes_of(pl.Series(sorted(recordings), dtype=pl.String))


def _contains(prefix: str, hashes: NDArray[np.int64]) -> bool:
    """Return whether one of the hashes begins with a prefix."""
    first, last = bounds_of(prefix)
    return bool(((hashes >= first) & (hashes <= last)).any())
