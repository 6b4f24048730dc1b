"""Table of a version's episodes, which is read page by page."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from kinemill.dataset.packed import PackedEpisode
from kinemill.dataset.split import Piece
from kinemill.store import Json

LISTING = "episodes.parquet"
_SCHEMA = {
    "id": pl.String, "split": pl.String, "recording": pl.String, "name": pl.String,
    "group": pl.String, "rows": pl.Int64, "first": pl.Int64, "start": pl.Int64, "stop": pl.Int64,
}  # fmt: skip
_PAGE = 4096  # rows of a row group: the unit of reading


def write_listing(
    folder: Path, pieces: list[Piece], packed: list[PackedEpisode], groups: Mapping[str, str]
) -> None:
    """Write one row per piece, unused ones included, sorted by id.

    Args:
        folder: folder of the version.
        pieces: all pieces, with their first row in the episode.
        packed: used pieces, with their rows in the packed array.
        groups: session by recording.
    """
    spans = {episode.id: (episode.start, episode.stop) for episode in packed}
    rows = [
        (
            piece.id,
            piece.split,
            piece.recording,
            piece.name,
            groups.get(piece.recording),
            piece.rows,
            piece.first,
            *spans.get(piece.id, (None, None)),
        )
        for piece in sorted(pieces, key=lambda piece: piece.id)
    ]
    table = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
    table.write_parquet(folder / LISTING, compression="lz4", row_group_size=_PAGE)


def scan_listing(folder: Path) -> pl.LazyFrame:
    """Return a lazy table of the episodes of a version, sorted by id."""
    return pl.scan_parquet(folder / LISTING, glob=False)


def page(frame: pl.LazyFrame, offset: int, limit: int) -> list[Json]:
    """Return `limit` rows after the first `offset`."""
    return frame.slice(offset, limit).collect(engine="streaming").to_dicts()
