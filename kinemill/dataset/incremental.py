"""Reuse rows of the previous version, so that only new episodes are read.

`sources.parquet` lists the pieces of a version, used ones first, in the order of their rows: which
rows of which episode of which validation artifact. This identifies the content. If the new version
has the same piece, its rows are copied from the previous version, after the same integrity check as
on loading. `moments.npy` has the means and squares of each used piece, (P, 2, C + S).

If the previous version is gone, damaged or has other channels, every episode is read.

Symbols: P used pieces, C channels, S states.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.dataset.catalog import dataset_versions
from kinemill.dataset.packed import VALUES, Floats, Packed
from kinemill.dataset.split import Piece, SplitEpisode
from kinemill.errors import CorruptArtifact
from kinemill.store import MANIFEST, Json, digest, open_ref, read_json
from kinemill.store.home import Home

SOURCES, MOMENTS = "sources.parquet", "moments.npy"
_SCHEMA = {
    "episode": pl.String, "artifact": pl.String, "first": pl.Int64, "last": pl.Int64,
    "start": pl.Int64, "begins": pl.Int64,
}  # fmt: skip


class PublishedEpisode(SplitEpisode, Protocol):
    """An episode in a validation artifact."""

    @property
    def artifact(self) -> str:
        """Digest of the artifact; with the id it identifies the rows."""
        ...


class Source(NamedTuple):
    """Rows `first` to `last` (exclusive) of an episode of a validation artifact."""

    episode: str
    artifact: str
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class PreviousVersion:
    """The previous version of a task's dataset.

    Attributes:
        folder: folder of its files.
        starts: (P,) first packed row of each used piece.
        numbers: index of each piece in `starts` and `moments`.
        begins: first row of an episode in its recording, by id and artifact, where known.
    """

    folder: Path
    starts: NDArray[np.int64]
    numbers: Mapping[Source, int]
    begins: Mapping[tuple[str, str], int]

    @property
    def values(self) -> Packed:
        """(N, C) packed rows, memory-mapped."""
        return np.load(self.folder / VALUES, mmap_mode="r")

    @property
    def moments(self) -> Floats:
        """(P, 2, C + S) moments of the used pieces."""
        return np.load(self.folder / MOMENTS)


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
    if old.get("version") != inputs["version"] or _packing_digest(old) != _packing_digest(inputs):
        return None
    try:
        return _read(open_ref(home, version.ref))
    except CorruptArtifact:
        return None


def _packing_digest(inputs: Json) -> str:
    """Return a digest of the settings that determine how an episode is packed."""
    channels = {key: inputs["task"][key] for key in ("dt", "channels")}
    return digest([inputs["columns"], channels])


def _read(folder: Path) -> PreviousVersion:
    table = pl.read_parquet(folder / SOURCES, glob=False)
    used = table.filter(pl.col("start").is_not_null())
    begins = table.filter(pl.col("begins").is_not_null())["episode", "artifact", "begins"]
    sources = map(Source._make, used.select(Source._fields).iter_rows())
    return PreviousVersion(
        folder,
        used["start"].to_numpy(),
        {source: number for number, source in enumerate(sources)},
        {(episode, artifact): row for episode, artifact, row in begins.rows()},
    )


def sources_of(pieces: Sequence[Piece], episodes: Mapping[str, PublishedEpisode]) -> list[Source]:
    """Return the source of the rows of each piece."""
    return [
        Source(piece.episode, episodes[piece.episode].artifact, piece.first, piece.last)
        for piece in pieces
    ]


def write_sources(
    folder: Path, sources: Sequence[Source], starts: Sequence[int], begins: Mapping[str, int]
) -> None:
    """Write the sources of all pieces of a version.

    Args:
        folder: folder of the version.
        sources: sources of the used pieces in the order of their rows, then of unused ones.
        starts: first packed rows of the used pieces.
        begins: first row of an episode in its recording, by id, where known.
    """
    unused = [None] * (len(sources) - len(starts))
    columns = dict(zip(Source._fields, zip(*sources, strict=True), strict=True))
    rows = {"start": [*starts, *unused], "begins": [begins.get(one.episode) for one in sources]}
    table = pl.DataFrame(columns | rows, schema=_SCHEMA)
    table.write_parquet(folder / SOURCES, compression="lz4")


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
