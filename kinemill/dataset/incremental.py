"""Reuse the previous version: link its segments, and copy rows into segments that changed.

A piece is the same if it holds the same rows of the same episode of the same validation artifact.
Files of the previous version pass the same integrity check as on loading. If the previous version
is gone, damaged or has other channels, every episode is read.

Symbols: P used pieces, C channels, S states.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.dataset.catalog import dataset_versions
from kinemill.dataset.listing import scan_listing
from kinemill.dataset.packed import read_description
from kinemill.dataset.segments import VALUES, Segment, SegmentedRows, map_segments
from kinemill.dataset.split import SplitEpisode
from kinemill.errors import CorruptArtifact
from kinemill.store import MANIFEST, Json, digest, open_ref, read_json
from kinemill.store.home import Home

MOMENTS = "moments"  # files with the moments of each piece
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

    def find(self, pieces: pl.DataFrame) -> pl.DataFrame:
        """Return `start` and `number` of each piece here, in the order of `pieces`; null if new."""
        return pieces.select(_SOURCE).join(
            self._used, on=_SOURCE, how="left", maintain_order="left"
        )

    @cached_property
    def _used(self) -> pl.DataFrame:
        used = scan_listing(self.folder).select(*_SOURCE, "start")
        used = used.filter(pl.col("start").is_not_null()).sort("start")
        return used.with_row_index("number").collect()


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
    try:
        folder = open_ref(home, version.ref)
    except CorruptArtifact:
        return None
    return PreviousVersion(folder, read_description(folder).segments)


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
