"""Segments of a view: immutable Arrow files, of which the newer ones override the older ones.

A pointer lists the segments. A change adds one segment, and marks the rows that it overrides, or
that are removed, as deleted in the older ones. Segments of similar size are merged, so that their
number grows with the logarithm of the number of rows. A file that no pointer lists is removed
later: a search in another process may still read it.
"""

import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

import polars as pl

from kinemill.errors import CorruptArtifact
from kinemill.search.changes import Position
from kinemill.store import aside_of, fault_point, publish_document, read_document
from kinemill.store.atomic_write import Move, settle

FORMAT = 3
POINTER = "view.json"
_SUFFIX = ".arrow"
_RATIO = 4  # a segment with at least this many times the rows of the next is not merged with it
_GRACE = 600.0  # s that a file outlives its last pointer
KEY = "recording"
_INDEX = "_index"


@dataclass(frozen=True)
class Segment:
    """One segment: its file, its rows, and the file that lists its deleted rows, or None."""

    file: str
    rows: int
    deleted: str | None = None
    deleted_rows: int = 0

    @property
    def live_rows(self) -> int:
        """Rows that are not deleted."""
        return self.rows - self.deleted_rows


@dataclass(frozen=True)
class Pointer:
    """The published state of a view: segments, oldest first, and what they show."""

    format: int
    rules: str
    position: Position
    segments: list[Segment] = field(default_factory=list[Segment])


class Segments:
    """The files of a view.

    Args:
        folder: where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, rules: str) -> Pointer | None:
        """Return the pointer; None if it or a segment is missing, damaged, or by other rules."""
        try:
            pointer = read_document(self.folder / POINTER, Pointer)
        except (FileNotFoundError, CorruptArtifact):
            return None  # it is a cache
        whole = all((self.folder / name).is_file() for name in _files(pointer))
        usable = pointer.format == FORMAT and pointer.rules == rules
        return pointer if whole and usable else None

    def discard(self) -> None:
        """Let the next search build the view anew."""
        (self.folder / POINTER).unlink(missing_ok=True)

    def scan(
        self, segments: Iterable[Segment], columns: Collection[str] | None = None
    ) -> list[pl.LazyFrame]:
        """Return the live rows of segments as lazy tables, each with those columns that it has."""
        return [self._scan(segment, columns) for segment in segments]

    def _scan(self, segment: Segment, columns: Collection[str] | None) -> pl.LazyFrame:
        path = self.folder / segment.file
        frame = pl.scan_ipc(path, row_index_name=_INDEX if segment.deleted else None)
        if segment.deleted:
            frame = frame.filter(pl.col(_INDEX).is_in(self._deleted(segment).implode()).not_())
        names = frame.collect_schema().names()
        return frame.select(
            [name for name in names if name != _INDEX and (columns is None or name in columns)]
        )

    def _deleted(self, segment: Segment) -> pl.Series:
        """Return the numbers of the deleted rows of a segment."""
        if segment.deleted is None:
            return pl.Series(_INDEX, [], pl.get_index_type())
        return pl.read_ipc(self.folder / segment.deleted)[_INDEX]

    def update(
        self, pointer: Pointer, batches: Iterable[pl.DataFrame], removed: Collection[str]
    ) -> Pointer:
        """Publish new rows, without the rows that they override, or that are removed.

        One of the `batches` is in memory at a time. It returns the published pointer.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        new = self._write(batches)
        fault_point("search.segment")
        keys = pl.Series(KEY, sorted(removed), pl.String)
        if new:
            (added,) = self.scan([new], [KEY])
            keys = keys.append(added.collect()[KEY])
        segments = self._delete(pointer.segments, keys) + ([new] if new else [])
        published = replace(pointer, segments=self._merge_similar(segments))
        fault_point("search.merged")
        publish_document(self.folder / POINTER, published)
        self._remove_unlisted(published)
        return published

    def _delete(self, segments: Sequence[Segment], keys: pl.Series) -> list[Segment]:
        """Return segments without the rows of some keys; a segment without rows is left out."""
        if not len(keys):
            return [*segments]
        remaining = list[Segment]()
        for segment in segments:
            frame = pl.scan_ipc(self.folder / segment.file, row_index_name=_INDEX)
            rows = frame.filter(pl.col(KEY).is_in(keys.implode())).select(_INDEX).collect()[_INDEX]
            deleted = self._deleted(segment).append(rows).unique().sort()
            if len(deleted) == segment.deleted_rows:
                remaining.append(segment)
            elif len(deleted) < segment.rows:
                file = self._sink(pl.LazyFrame({_INDEX: deleted}))
                remaining.append(replace(segment, deleted=file, deleted_rows=len(deleted)))
        return remaining

    def _merge_similar(self, segments: list[Segment]) -> list[Segment]:
        """Return segments of which each has `_RATIO` times the live rows of the next, or more."""
        merged = [
            self._merge([segment]) if 2 * segment.live_rows < segment.rows else segment
            for segment in segments
        ]
        while len(merged) > 1 and merged[-2].live_rows < _RATIO * merged[-1].live_rows:
            merged[-2:] = [self._merge(merged[-2:])]
        return merged

    def _merge(self, segments: list[Segment]) -> Segment:
        frame = pl.concat(self.scan(segments), how="diagonal")
        return Segment(self._sink(frame), sum(segment.live_rows for segment in segments))

    def _write(self, batches: Iterable[pl.DataFrame]) -> Segment | None:
        """Write tables to one new segment; None without rows."""
        parts = [
            Segment(self._sink(batch.lazy()), batch.height) for batch in batches if batch.height
        ]
        return self._merge(parts) if len(parts) > 1 else next(iter(parts), None)

    def _sink(self, frame: pl.LazyFrame) -> str:
        """Write a table to a new file; return its name."""
        name = f"{uuid4().hex}{_SUFFIX}"
        aside = aside_of(self.folder / name)
        try:
            frame.sink_ipc(aside, compression="uncompressed")
            settle([Move(aside, self.folder / name)])
        finally:
            aside.unlink(missing_ok=True)
        return name

    def _remove_unlisted(self, pointer: Pointer) -> None:
        """Remove files that no search can still read: a search takes less than `_GRACE`."""
        listed = _files(pointer)
        oldest = time.time() - _GRACE
        for path in self.folder.glob(f"*{_SUFFIX}"):
            with suppress(FileNotFoundError):
                if path.name not in listed and path.stat().st_mtime < oldest:
                    path.unlink()


def _files(pointer: Pointer) -> set[str]:
    """Return the names of the files that a pointer lists."""
    return {
        name for segment in pointer.segments for name in (segment.file, segment.deleted) if name
    }
