"""What a new version takes over from the last one, so that only new episodes are read.

`sources.parquet` lists the pieces of a version, the used ones in the order of their rows: which
rows of which episode of which outcome of `validate` each is. That names its content: where the new
version has the same piece, its rows are copied from the last version, after that was checked as it
is when it is loaded. `moments.npy` has the means and squares of each used piece, (P, 2, C + S).

A last version that is gone, damaged or made by other channels costs the reading of every episode.

Symbols: P used pieces, C channels, S states.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.dataset._packed import VALUES, Packed
from kinemill.dataset._split import Piece, SplitEpisode
from kinemill.dataset._versions import versions
from kinemill.errors import CorruptArtifact
from kinemill.store import MANIFEST, Json, digest, open_ref, read_json
from kinemill.store.home import Home

SOURCES, MOMENTS = "sources.parquet", "moments.npy"
_SCHEMA = {
    "episode": pl.String, "outcome": pl.String, "first": pl.Int64, "last": pl.Int64,
    "start": pl.Int64, "begins": pl.Int64,
}  # fmt: skip

Floats = NDArray[np.float64]


class PublishedEpisode(SplitEpisode, Protocol):
    """An episode that an outcome of `validate` holds."""

    @property
    def outcome(self) -> str:
        """Digest of that outcome, which with the id names the rows."""
        ...


class Source(NamedTuple):
    """Rows `first` to `last` (not included) of an episode of a published outcome."""

    episode: str
    outcome: str
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class Last:
    """The last version of a task.

    Attributes:
        folder: where it lies.
        starts: (P,) where in its packed rows each used piece begins.
        numbers: places of pieces in `starts` and `moments`.
        begins: row of its recording that an episode begins with, by id and outcome, where known.
    """

    folder: Path
    starts: NDArray[np.int64]
    numbers: Mapping[Source, int]
    begins: Mapping[tuple[str, str], int]

    @property
    def values(self) -> Packed:
        """(N, C) packed rows, mapped."""
        return np.load(self.folder / VALUES, mmap_mode="r")

    @property
    def moments(self) -> Floats:
        """(P, 2, C + S) moments of the used pieces."""
        return np.load(self.folder / MOMENTS)


def find_last(home: Home, task: str, inputs: Json) -> Last | None:
    """Return the last version of a task if its rows are made as those of one from `inputs` are.

    Args:
        home: where it is kept.
        task: name of the task.
        inputs: what the new version is made from.
    """
    version = next(versions(home, task, limit=1), None)
    if version is None or version.status(home) != "ready":
        return None
    before = read_json(version.folder(home) / MANIFEST)["inputs"]
    if before.get("version") != inputs["version"] or _rules(before) != _rules(inputs):
        return None
    try:
        return _read(open_ref(home, version.ref))
    except CorruptArtifact:
        return None


def _rules(inputs: Json) -> str:
    """Return a digest of what decides how the rows of an episode are packed."""
    channels = {key: inputs["task"][key] for key in ("dt", "channels")}
    return digest([inputs["columns"], channels])


def _read(folder: Path) -> Last:
    table = pl.read_parquet(folder / SOURCES, glob=False)
    used = table.filter(pl.col("start").is_not_null())
    told = table.filter(pl.col("begins").is_not_null())
    sources = map(Source._make, used.select(Source._fields).iter_rows())
    return Last(
        folder,
        used["start"].to_numpy(),
        {source: number for number, source in enumerate(sources)},
        {(one, outcome): row for one, outcome, row in told["episode", "outcome", "begins"].rows()},
    )


def sources_of(pieces: Sequence[Piece], episodes: Mapping[str, PublishedEpisode]) -> list[Source]:
    """Return what names the rows of each piece."""
    return [
        Source(piece.episode, episodes[piece.episode].outcome, piece.first, piece.last)
        for piece in pieces
    ]


def write_sources(
    folder: Path, sources: Sequence[Source], starts: Sequence[int], begins: Mapping[str, int]
) -> None:
    """Write the sources of all pieces of a version.

    Args:
        folder: of the version.
        sources: of the used pieces in the order of their rows, then of those not used.
        starts: where the rows of the used ones begin.
        begins: row of its recording that an episode begins with, by id, where known.
    """
    unused = [None] * (len(sources) - len(starts))
    columns = dict(zip(Source._fields, zip(*sources, strict=True), strict=True))
    rows = {"start": [*starts, *unused], "begins": [begins.get(one.episode) for one in sources]}
    table = pl.DataFrame(columns | rows, schema=_SCHEMA)
    table.write_parquet(folder / SOURCES, compression="lz4")


def runs(
    starts: NDArray[np.int64], stops: NDArray[np.int64], before: NDArray[np.int64]
) -> Iterator[tuple[slice, slice]]:
    """Yield rows of the new version, as long as they come, with where they are in the last one.

    Args:
        starts: (P,) where pieces begin, one right after the other.
        stops: (P,) where they end.
        before: (P,) where they began in the last version, less than 0 for what is not from there.
    """
    shifts = np.where(before < 0, np.iinfo(np.int64).max, starts - before)
    edges = np.flatnonzero(np.diff(shifts)) + 1
    for first, last in zip([0, *edges], [*edges, len(shifts)], strict=True):
        if before[first] >= 0:
            length = stops[last - 1] - starts[first]
            now, then = int(starts[first]), int(before[first])
            yield slice(now, now + int(length)), slice(then, then + int(length))
