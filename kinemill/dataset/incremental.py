"""Reuse the previous version: its listing, its segments, and rows in segments that changed.

Usually a new version differs in a few recordings. Then only their episodes are listed and cut, so
most of the cost does not grow with the number of recordings.

A piece is the same if it holds the same rows of the same episode of the same validation artifact.
Files of the previous version pass the same integrity check as on loading. If the previous version
is gone, damaged or has other channels, every episode is read.

Symbols: P used pieces, C channels, S states.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.catalog import change_of
from kinemill.catalog.tables import evaluated
from kinemill.dataset.assignment import short_sides
from kinemill.dataset.catalog import Version, dataset_versions
from kinemill.dataset.description import SPLITS, Description, read_description
from kinemill.dataset.listing import scan_listing, scan_segment
from kinemill.dataset.segments import VALUES, Segment, SegmentedRows, map_segments
from kinemill.dataset.split import prescribes_rows, unit_column
from kinemill.errors import CorruptArtifact
from kinemill.store import (
    MANIFEST,
    ArtifactRef,
    Json,
    digest,
    index_path,
    open_ref,
    publish_document,
    read_document,
    read_json,
)
from kinemill.store.home import Home
from kinemill.task import Dataset, Task
from kinemill.validate.duplicates.registry import duplicate_groups
from kinemill.validate.published import open_results, read_episodes

MOMENTS = "moments"  # files with the moments of each piece
SOURCE = "dataset.json"  # in the index of the task
_SOURCE = ["episode", "artifact", "first", "rows"]


@dataclass(frozen=True, eq=False)
class PreviousVersion:
    """The previous version of a task's dataset.

    Attributes:
        folder: folder of its files.
        about: its description.
    """

    folder: Path
    about: Description

    @cached_property
    def by_key(self) -> Mapping[str, Segment]:
        """Its segments by key."""
        return {segment.key: segment for segment in self.about.segments}

    @cached_property
    def values(self) -> SegmentedRows[np.float32]:
        """(N, C) packed rows, memory-mapped."""
        return SegmentedRows(map_segments(self.folder, VALUES, self.about.segments))

    @cached_property
    def moments(self) -> SegmentedRows[np.float64]:
        """(P, 2 * (C + S)) moments of the used pieces, memory-mapped."""
        return SegmentedRows(map_segments(self.folder, MOMENTS, self.about.segments))

    @cached_property
    def begins(self) -> Mapping[tuple[str, str], int]:
        """First row of an episode in its recording, by id and artifact, where known."""
        table = scan_listing(self.folder).filter(pl.col("begins").is_not_null())
        rows = table.select("episode", "artifact", "begins").collect().rows()
        return {(episode, artifact): row for episode, artifact, row in rows}

    def locate(self, pieces: pl.DataFrame) -> pl.DataFrame:
        """Return pieces with their first row here, `old_start`, and number; null for a new one."""
        used = scan_listing(self.folder, *SPLITS).select(
            *_SOURCE, pl.col("start").alias("old_start")
        )
        numbered = used.with_row_index("old_number").cast({"old_number": pl.Int64}).collect()
        return pieces.join(numbered, on=_SOURCE, how="left", maintain_order="left")

    def read(self, segment: Segment) -> pl.DataFrame:
        """Return the pieces of a segment as `locate` does, with all columns of a listing."""
        unplaced = pl.lit(None, pl.Int64)
        table = scan_segment(self.folder, segment, 0).collect()
        if segment.key not in self._positions:  # unused pieces
            return table.with_columns(old_number=unplaced, old_start=unplaced)
        start, number = self._positions[segment.key]
        numbers = pl.int_range(number, number + len(table))
        return table.with_columns(old_number=numbers, old_start=start + pl.col("start"))

    @cached_property
    def _positions(self) -> Mapping[str, tuple[int, int]]:
        """First row, and number of the first piece, of each segment by key."""
        positions = dict[str, tuple[int, int]]()
        row = 0
        number = 0
        for segment in self.about.segments:
            positions[segment.key] = row, number
            row = row + segment.rows
            number = number + segment.episodes
        return positions


def find_previous(home: Home, task: str, inputs: Json) -> PreviousVersion | None:
    """Return the newest version of a task if it packs rows in the same way as `inputs`."""
    version = next(dataset_versions(home, task, limit=1), None)
    if version is None or version.status(home) != "ready":
        return None
    old = read_json(version.folder(home) / MANIFEST)["inputs"]
    if old.get("version") != inputs["version"] or packing_of(old) != packing_of(inputs):
        return None
    return _open(home, version)


def _open(home: Home, version: Version) -> PreviousVersion | None:
    try:
        folder = open_ref(home, version.ref)
        return PreviousVersion(folder, read_description(folder))
    except CorruptArtifact:
        return None


@dataclass(frozen=True)
class UnchangedPieces:
    """What a new version keeps of the previous one.

    Attributes:
        changed: content hashes of the recordings whose pieces are listed anew.
        repeats: what the units of the other recordings repeat, by unit.
    """

    previous: PreviousVersion
    changed: Set[str]
    repeats: Mapping[str, str]


@dataclass(frozen=True)
class _Source:
    """A version, by its digest, and the set of validation results that it was made of."""

    version: str
    results: str


def note_source(home: Home, task: str, version: str, episodes: ArtifactRef) -> None:
    """Note which results a version was made of, for `find_unchanged`."""
    path = index_path(home, task, SOURCE)
    source = _Source(version, read_episodes(home, episodes).set)
    if not path.is_file() or read_document(path, _Source) != source:
        publish_document(path, source)


def find_unchanged(
    task: Task, home: Home, episodes: ArtifactRef, settings: Json
) -> UnchangedPieces | None:
    """Return the pieces of the previous version that a new one has as well, without cutting any.

    The new version is the same as without them. None if all pieces must be cut: the rules look at
    other recordings or at rows, the settings differ, or the previous version cannot be read.
    `settings` are the inputs of the new version that do not depend on its recordings.
    """
    version = next(dataset_versions(home, task.name, limit=1), None)
    path = index_path(home, task.name, SOURCE)
    if version is None or not path.is_file() or version.status(home) != "ready":
        return None
    source = read_document(path, _Source)
    old = read_json(version.folder(home) / MANIFEST)["inputs"]
    is_same = digest({key: old.get(key) for key in settings}) == digest(settings)
    change = change_of(home, task.name, source.results, evaluated)
    if source.version != version.ref.digest or not is_same or change is None:
        return None
    if _considers_others(task.dataset) or (previous := _open(home, version)) is None:
        return None
    changed = open_results(home, episodes).changed_since(change)
    repeats = _find_repeats(task.dataset, previous)
    changed |= _find_repeating(task, home, previous, repeats)
    is_unchanged = ~pl.col("recording").is_in(changed)
    unchanged = scan_listing(previous.folder).filter(is_unchanged)
    units = unchanged.select(unit_column(task.dataset).alias("unit"), "side").unique().collect()
    if short_sides(task.dataset, units["side"]):
        return None  # which recording fills a short split depends on all of them
    still = repeats.filter(is_unchanged).select("unit", "repeats")
    return UnchangedPieces(previous, changed, dict(still.iter_rows()))


def _considers_others(rules: Dataset) -> bool:
    """Return whether pieces depend on more than their recording and its near-duplicates."""
    by_session = rules.group_by not in {"recording", "part"}
    by_others = bool(rules.where or rules.join or rules.balance) or by_session
    return by_others or prescribes_rows(rules)


def _find_repeats(rules: Dataset, previous: PreviousVersion) -> pl.DataFrame:
    """Return `recording`, `unit` and `repeats` of the pieces that repeat another recording."""
    listing = scan_listing(previous.folder).filter(pl.col("repeats").is_not_null())
    return listing.select("recording", unit_column(rules).alias("unit"), "repeats").collect()


def _find_repeating(
    task: Task, home: Home, previous: PreviousVersion, repeats: pl.DataFrame
) -> set[str]:
    """Return the recordings of which a unit now repeats another recording than before."""
    old = dict(repeats.select("unit", "repeats").iter_rows())
    current = duplicate_groups(home, task.name)
    units = {unit for unit in {*old, *current} if old.get(unit) != current.get(unit)}
    if not units:
        return set()
    listing = scan_listing(previous.folder).filter(unit_column(task.dataset).is_in(units))
    return set(listing.select(pl.col("recording").unique()).collect()["recording"])


def packing_of(inputs: Json) -> str:
    """Return a digest of the settings that determine how an episode is packed."""
    channels = {key: inputs["task"][key] for key in ("dt", "channels")}
    return digest([inputs["columns"], channels])


def runs(
    starts: NDArray[np.int64], stops: NDArray[np.int64], previous: NDArray[np.int64]
) -> Iterator[tuple[slice, slice]]:
    """Yield the longest runs of rows of the new version with their rows in the previous one.

    Args:
        starts: (P,) first rows of the pieces, one right after the other.
        stops: (P,) rows after the last.
        previous: (P,) first rows in the previous version; negative for new pieces.
    """
    # Neighbors with the same shift are contiguous in both versions, so one copy takes all.
    shifts = np.where(previous < 0, np.iinfo(np.int64).max, starts - previous)
    edges = np.flatnonzero(np.diff(shifts)) + 1
    for first, last in zip([0, *edges], [*edges, len(shifts)], strict=True):
        if previous[first] >= 0:
            length = int(stops[last - 1] - starts[first])
            new = int(starts[first])
            old = int(previous[first])
            yield slice(new, new + length), slice(old, old + length)
