"""Segments: files of packed rows that never change and that versions share by hard link.

The pieces of a split are sorted by id, which begins with the content hash of their recording. They
are cut where a bit of that hash changes, from the first bit on, until a part has at most `LARGEST`
bytes. The cut depends on the set of pieces alone, not on the versions before: equal sets have equal
segments. A new recording changes one segment; a segment that grows too large becomes two.

A segment is named after the digest of its sources. A new version links the files of a segment that
the previous version has, so garbage collection and backups see complete folders.

Rows are `.npy` files and not Arrow IPC: a window of training is then one contiguous block. The
pieces of a segment are listed in a Parquet file of its own; see `kinemill.dataset.listing`.

Symbols: P pieces, n rows of a segment, k columns.
"""

import errno
import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.store.digests import link

LARGEST = 1 << 24  # bytes of the values of a segment
VALUES = "values"
_DIGITS = 15  # hexadecimal digits of a hash that decide about the cut
BITS = 4 * _DIGITS
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP}

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class SegmentMoments:
    """Moments of the rows of a segment before rounding to float32; C channels, S states.

    Attributes:
        mean: (C + S,) mean of the rows, then of the changes of the states from row to row.
        squares: (C + S,) sums of squares about `mean`.
        within: (C,) sums of squares about the mean of each piece.
        reach: (C,) largest distance from 0, about.
    """

    mean: list[float]
    squares: list[float]
    within: list[float]
    reach: list[float]
    changes: int


@dataclass(frozen=True)
class Segment:
    """A segment of a version.

    Attributes:
        key: digest of its sources, in the names of its files; empty for unused rows, which have no
            files.
        moments: moments of its rows; None if the statistics are those of another dataset.
        split: split of its pieces, or `unused`.
        prefix: first bits that the content hashes of its recordings share, as `0110`.
        listing: digest of its listed pieces, in the name of that file.
        episodes: number of pieces.
    """

    key: str
    rows: int
    moments: SegmentMoments | None = None
    split: str = ""
    prefix: str = ""
    listing: str = ""
    episodes: int = 0


def path_of(folder: Path, kind: str, key: str) -> Path:
    """Return the file of a segment with its rows of one kind, such as `values`."""
    return folder / f"{kind}-{key}.npy"


def map_segments(folder: Path, kind: str, segments: Sequence[Segment]) -> list[NDArray[Any]]:
    """Return the rows of one kind of each segment, memory-mapped."""
    return [np.load(path_of(folder, kind, segment.key), mmap_mode="r") for segment in segments]


def create_segment(
    folder: Path, kind: str, key: str, shape: tuple[int, int], dtype: type[T]
) -> "np.memmap[tuple[int, ...], np.dtype[T]]":
    """Create the file of a segment, and return it as a writable map; see `path_of`."""
    path = path_of(folder, kind, key)
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


def write_segment(folder: Path, kind: str, key: str, rows: NDArray[np.generic]) -> None:
    """Write the rows of one kind of a segment."""
    np.save(path_of(folder, kind, key), rows)


def link_segment(source: Path, folder: Path, key: str) -> None:
    """Link all files of a segment from one version to another; copy them where links fail."""
    for file in sorted(source.glob(f"*-{key}.*")):
        try:
            link(file, folder / file.name)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            shutil.copyfile(file, folder / file.name)


def key_of(settings: str, sources: pl.DataFrame) -> str:
    """Return the key of a segment.

    Args:
        settings: digest of the settings that determine how an episode is packed.
        sources: `episode`, `artifact`, `first` and `rows` of its pieces, in order.
    """
    line = pl.concat_str("episode", "artifact", "first", "rows", separator=" ")
    lines = sources.select(line.str.join("\n")).item()
    return hashlib.sha256(f"{settings}\n{lines}".encode()).hexdigest()[:32]


def hashes_of(ids: pl.Series) -> NDArray[np.int64]:
    """Return the first `BITS` bits (P,) of the content hashes that ids of pieces begin with."""
    return ids.str.head(_DIGITS).str.to_integer(base=16, dtype=pl.Int64).to_numpy()


def bounds_of(prefix: str) -> tuple[int, int]:
    """Return the smallest and the largest hash that begin with a prefix, such as `0110`."""
    return int(prefix.ljust(BITS, "0"), 2), int(prefix.ljust(BITS, "1"), 2)


def cut(
    hashes: NDArray[np.int64], rows: NDArray[np.int64], most: int
) -> Iterator[tuple[int, int, str]]:
    """Yield the first piece of each segment, the one after its last, and its prefix.

    Args:
        hashes: (P,) sorted hashes of the pieces of a split; see `hashes_of`.
        rows: (P,) rows of each piece.
        most: rows from which a segment is cut in two, unless all are of one recording.
    """
    ends = np.concatenate([[0], np.cumsum(rows)])
    pending = [(0, len(hashes), BITS - 1)] if len(hashes) else []
    while pending:
        first, last, bit = pending.pop()
        if ends[last] - ends[first] <= most or bit < 0:
            yield first, last, f"{int(hashes[first]):0{BITS}b}"[: BITS - 1 - bit]
            continue
        # Sorted hashes with a common prefix: this bit is 0 in the first ones and 1 in the others.
        middle = first + int(np.searchsorted(hashes[first:last] >> bit & 1, 1))
        # The lower half is popped first, so that segments come in the order of the hashes.
        halves = [(middle, last), (first, middle)]
        pending += [(begin, end, bit - 1) for begin, end in halves if begin < end]


class SegmentedRows(Generic[T]):
    """Rows of several segments, numbered one after the other.

    Args:
        parts: rows of each segment, (n, k), with the same columns.
    """

    def __init__(self, parts: Sequence[NDArray[T]]) -> None:
        self._parts = parts
        self._stops = np.cumsum([len(part) for part in parts], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._stops[-1]) if len(self._parts) else 0

    def view(self, start: int, stop: int) -> NDArray[T]:
        """Return rows `start` to `stop`: a view within one segment, else a copy."""
        pieces = list[NDArray[T]]()
        number = int(np.searchsorted(self._stops, start, side="right"))
        for part, end in zip(self._parts[number:], self._stops[number:].tolist(), strict=True):
            begin = end - len(part)
            pieces.append(part[max(start - begin, 0) : stop - begin])
            if stop <= end:
                break
        if not pieces:
            return self._parts[-1][:0]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def take(self, rows: NDArray[np.int64]) -> NDArray[T]:
        """Return rows by number, (...,) -> (..., k)."""
        flat = np.asarray(rows).reshape(-1)
        out = np.empty((len(flat), self._parts[0].shape[1]), self._parts[0].dtype)
        # `right`: the row after the last one of a segment belongs to the next.
        owner = np.searchsorted(self._stops, flat, side="right")
        for number in np.unique(owner).tolist():
            part = self._parts[number]
            inside = owner == number
            out[inside] = part[flat[inside] - (int(self._stops[number]) - len(part))]
        return out.reshape(*np.shape(rows), -1)

    def copy(self) -> NDArray[T]:
        """Return a new array of all rows."""
        out = np.empty((len(self), self._parts[0].shape[1]), self._parts[0].dtype)
        for part, stop in zip(self._parts, self._stops.tolist(), strict=True):
            out[stop - len(part) : stop] = part
        return out
