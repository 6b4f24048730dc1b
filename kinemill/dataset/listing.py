"""Table of a version's pieces, which is read page by page: `episodes.parquet`.

A piece is identified by which rows of which episode of which validation artifact it holds. If the
next version has the same piece, its rows are copied; see `kinemill.dataset.incremental`. `part` is
the part of the recording, `side` the split of the whole episode before rows are cut out, and
`repeats` the recording or part that the unit of the episode repeats.
"""

from pathlib import Path

import polars as pl

from kinemill.store import Json

LISTING = "episodes.parquet"
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


def write_listing(folder: Path, table: pl.DataFrame) -> None:
    """Write the pieces of a version, unused ones included, sorted by id.

    Args:
        folder: folder of the version.
        table: pieces with some columns of `SCHEMA`; `first` is their first row in the episode,
            `start` and `stop` are their packed rows, null for an unused one.
    """
    missing = [pl.lit(None, kind).alias(name) for name, kind in SCHEMA.items() if name not in table]
    table = table.with_columns(missing).select(*SCHEMA).cast(pl.Schema(SCHEMA)).sort("id")
    table.write_parquet(folder / LISTING, compression="lz4", row_group_size=_PAGE)


def scan_listing(folder: Path) -> pl.LazyFrame:
    """Return a lazy table of the episodes of a version, sorted by id."""
    return pl.scan_parquet(folder / LISTING, glob=False)


def read_used(folder: Path) -> pl.DataFrame:
    """Return the columns `EPISODE` and `rows` of the used pieces, in the order of their rows."""
    used = scan_listing(folder).select(*EPISODE, "rows").filter(pl.col("start").is_not_null())
    return used.sort("start").collect()


def total_rows(pieces: pl.DataFrame) -> int:
    """Return the number of rows of all pieces of a table."""
    return int(pieces["rows"].sum())


def page(frame: pl.LazyFrame, offset: int, limit: int) -> list[Json]:
    """Return `limit` rows after the first `offset`."""
    return frame.slice(offset, limit).collect(engine="streaming").to_dicts()
