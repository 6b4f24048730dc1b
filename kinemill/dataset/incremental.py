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
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.catalog import change_of
from kinemill.catalog.tables import evaluated
from kinemill.dataset.assignment import empty_sides
from kinemill.dataset.catalog import Version, dataset_versions
from kinemill.dataset.listing import scan_listing
from kinemill.dataset.packed import read_description
from kinemill.dataset.segments import VALUES, Segment, SegmentedRows, map_segments
from kinemill.dataset.split import SplitEpisode, ranges, unit_column
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


class PublishedEpisode(SplitEpisode, Protocol):
    """An episode in a validation artifact."""

    @property
    def artifact(self) -> str:
        """Digest of the artifact; with the id it identifies the rows."""
        ...


@dataclass(frozen=True, eq=False)
class PreviousVersion:
    """The previous version of a task's dataset.

    Attributes:
        folder: folder of its files.
        segments: its segments, in the order of their rows.
    """

    folder: Path
    segments: list[Segment]

    @cached_property
    def by_key(self) -> Mapping[str, Segment]:
        """Its segments by key."""
        return {one.key: one for one in self.segments}

    @cached_property
    def values(self) -> SegmentedRows[np.float32]:
        """(N, C) packed rows, memory-mapped."""
        return SegmentedRows(map_segments(self.folder, VALUES, self.segments))

    @cached_property
    def moments(self) -> SegmentedRows[np.float64]:
        """(P, 2 * (C + S)) moments of the used pieces, memory-mapped."""
        return SegmentedRows(map_segments(self.folder, MOMENTS, self.segments))

    @cached_property
    def begins(self) -> Mapping[tuple[str, str], int]:
        """First row of an episode in its recording, by id and artifact, where known."""
        table = scan_listing(self.folder).filter(pl.col("begins").is_not_null())
        rows = table.select("episode", "artifact", "begins").collect().rows()
        return {(episode, artifact): row for episode, artifact, row in rows}

    def locate(self, pieces: pl.DataFrame) -> pl.DataFrame:
        """Return pieces with `old_start` and `old_number`, their place here; null for a new one.

        Pieces of `unchanged` have these columns already.
        """
        if "old_start" in pieces.columns:
            return pieces
        used = _with_places(scan_listing(self.folder).select(*_SOURCE, "start").collect())
        used = used.filter(pl.col("old_start").is_not_null()).drop("start")
        return pieces.join(used, on=_SOURCE, how="left", maintain_order="left")


def _with_places(listing: pl.DataFrame) -> pl.DataFrame:
    """Return a listing with the first row and the number of each used piece."""
    number = pl.col("start").rank("ordinal").cast(pl.Int64) - 1  # null for an unused piece
    return listing.with_columns(pl.col("start").alias("old_start"), number.alias("old_number"))


def find_previous(home: Home, task: str, inputs: Json) -> PreviousVersion | None:
    """Return the newest version of a task if it packs rows in the same way as `inputs`.

    Args:
        home: home that holds the versions.
        task: name of the task.
        inputs: inputs of the new version.
    """
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
    except CorruptArtifact:
        return None
    return PreviousVersion(folder, read_description(folder).segments)


@dataclass(frozen=True)
class UnchangedPieces:
    """What a new version keeps of the previous one.

    Attributes:
        previous: the previous version.
        table: pieces of the recordings that have not changed, with their places.
        changed: content hashes of all other recordings.
    """

    previous: PreviousVersion
    table: pl.DataFrame
    changed: Set[str]

    def repeats(self, rules: Dataset) -> dict[str, str]:
        """Return what the units of these pieces repeat, by unit."""
        repeating = self.table.filter(pl.col("repeats").is_not_null())
        return dict(repeating.select(unit_column(rules), pl.col("repeats")).iter_rows())


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

    Args:
        task: task with the `dataset` part.
        home: home that holds the versions.
        episodes: artifact of the validation stage.
        settings: inputs of the new version that do not depend on its recordings.
    """
    version, path = (
        next(dataset_versions(home, task.name, limit=1), None),
        index_path(home, task.name, SOURCE),
    )
    if version is None or not path.is_file() or version.status(home) != "ready":
        return None
    source, old = read_document(path, _Source), read_json(version.folder(home) / MANIFEST)["inputs"]
    is_same = digest({key: old.get(key) for key in settings}) == digest(settings)
    change = change_of(home, task.name, source.results, evaluated)
    if source.version != version.ref.digest or not is_same or change is None:
        return None
    if _considers_others(task.dataset) or (previous := _open(home, version)) is None:
        return None
    changed = open_results(home, episodes).changed_since(change)
    table = _with_places(scan_listing(previous.folder).collect())
    table = table.filter(~pl.col("recording").is_in(changed))
    moved = set(table.filter(_repeats_differ(task, home))["recording"])
    table = table.filter(~pl.col("recording").is_in(moved)) if moved else table
    if empty_sides(task.dataset, table["side"].unique()):
        return None  # which recording fills an empty split depends on all of them
    return UnchangedPieces(previous, table, changed | moved)


def _considers_others(rules: Dataset) -> bool:
    """Return whether pieces depend on more than their recording and its near-duplicates."""
    by_session = rules.group_by not in {"recording", "part"}
    by_rows = any(ranges(rules, side) for side in ("unused", "test", "validation"))
    return bool(rules.where or rules.join or rules.balance) or by_session or by_rows


def _repeats_differ(task: Task, home: Home) -> pl.Expr:
    """Return whether the unit of a piece now repeats another recording than before."""
    repeats, unit = duplicate_groups(home, task.name), unit_column(task.dataset)
    if not repeats:
        return pl.col("repeats").is_not_null()
    current = unit.replace_strict(repeats, default=None, return_dtype=pl.String)
    return pl.col("repeats").ne_missing(current)


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
    shifts = np.where(previous < 0, np.iinfo(np.int64).max, starts - previous)
    edges = np.flatnonzero(np.diff(shifts)) + 1
    for first, last in zip([0, *edges], [*edges, len(shifts)], strict=True):
        if previous[first] >= 0:
            length = int(stops[last - 1] - starts[first])
            new, old = int(starts[first]), int(previous[first])
            yield slice(new, new + length), slice(old, old + length)
