"""Tables of a version's pieces, one for each segment, which are read page by page.

A piece is identified by which rows of which episode of which validation artifact it holds. If the
next version has the same piece, its rows are copied; see `kinemill.dataset.incremental`. `part` is
the part of the recording, `side` the split of the whole episode before rows are cut out, and
`repeats` the recording or part that the unit of the episode repeats.

A table is named after the digest of its content, and its places count from the start of its
segment. So versions with the same pieces share the file.
"""

import hashlib
from pathlib import Path

import polars as pl

from kinemill.dataset.description import DESCRIPTION, SPLITS, read_description
from kinemill.dataset.segments import Segment, link_segment
from kinemill.store import Json

# Fields of `kinemill.dataset.packed.PackedEpisode`, in their order.
EPISODE = ["id", "recording", "name", "split", "start", "stop", "task", "weight"]
PUBLIC = ["id", "split", "recording", "name", "group", "rows", "first", "start", "stop"]
SCHEMA = {
    "id": pl.String, "split": pl.String, "recording": pl.String, "name": pl.String,
    "group": pl.String, "rows": pl.Int64, "first": pl.Int64, "start": pl.Int64, "stop": pl.Int64,
    "episode": pl.String, "artifact": pl.String, "begins": pl.Int64,
    "task": pl.String, "weight": pl.Float64,
    "part": pl.String, "side": pl.String, "repeats": pl.String,
}  # fmt: skip
_PAGE = 4096  # rows of a row group: the unit of reading
_BETWEEN = "\0"
_NULL = "\1"  # in the digested text; no name of a file consists of either


def listing_path(folder: Path, listing: str) -> Path:
    """Return the file with the pieces of a segment."""
    return folder / f"episodes-{listing}.parquet"


def write_listing(folder: Path, pieces: pl.DataFrame, previous: Path | None = None) -> str:
    """Write or link the listing of a segment; return the digest of its content.

    Args:
        folder: folder of the version.
        pieces: pieces of one split, in the order of their rows, with some columns of `SCHEMA`;
            `first` is their first row in the episode. `start` and `stop` are set here.
        previous: folder of another version, which may have the same listing.
    """
    missing = [
        pl.lit(None, kind).alias(name) for name, kind in SCHEMA.items() if name not in pieces
    ]
    table = pieces.with_columns(missing)
    stop = pl.when(pl.col("split") != "unused").then(pl.col("rows").cum_sum())
    table = table.with_columns(start=stop - pl.col("rows"), stop=stop).select(*SCHEMA)
    table = table.cast(pl.Schema(SCHEMA))
    path = listing_path(folder, listing := _digest(table))
    if previous and listing_path(previous, listing).is_file():
        link_segment(previous, folder, listing)
    else:
        table.write_parquet(path, compression="lz4", row_group_size=_PAGE)
    return listing


def _digest(table: pl.DataFrame) -> str:
    cells = [pl.col(name).cast(pl.String).fill_null(_NULL) for name in SCHEMA]
    lines = table.select(pl.concat_str(cells, separator=_BETWEEN).str.join("\n")).item()
    return hashlib.sha256(lines.encode()).hexdigest()[:32]


def scan_listing(folder: Path, *splits: str) -> pl.LazyFrame:
    """Return a lazy table of pieces in the order of their rows, unused ones last.

    `splits` selects pieces, if any is given.
    """
    frames = [pl.LazyFrame(schema=SCHEMA)]
    start = 0
    for segment in listed_segments(folder):
        if not splits or segment.split in splits:
            frames.append(scan_segment(folder, segment, start))
        start += segment.rows
    return pl.concat(frames)


def listed_segments(folder: Path) -> list[Segment]:
    """Return the segments of a version; none of one for a policy that learns without logs."""
    return read_description(folder).listed if (folder / DESCRIPTION).is_file() else []


def scan_segment(folder: Path, segment: Segment, start: int) -> pl.LazyFrame:
    """Return a lazy table of the pieces of a segment, whose first row is `start`."""
    table = pl.scan_parquet(listing_path(folder, segment.listing), glob=False)
    return table.with_columns(pl.col("start", "stop") + start)


def scan_used(folder: Path) -> pl.LazyFrame:
    """Return the columns `EPISODE` and `rows` of the used pieces, in the order of their rows."""
    return scan_listing(folder, *SPLITS).select(*EPISODE, "rows")


def page(frame: pl.LazyFrame, offset: int, limit: int) -> list[Json]:
    """Return `limit` rows after the first `offset`."""
    return frame.slice(offset, limit).collect(engine="streaming").to_dicts()
