"""The list of a version's episodes as a table that is read by the page, not as a whole."""

import json
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from kinemill.dataset._packed import DESCRIPTION, PackedEpisode
from kinemill.dataset._split import Piece
from kinemill.store import Json

LISTING = "episodes.parquet"
_SCHEMA = {
    "id": pl.String, "split": pl.String, "recording": pl.String, "name": pl.String,
    "group": pl.String, "rows": pl.Int64, "first": pl.Int64, "start": pl.Int64, "stop": pl.Int64,
}  # fmt: skip
_PAGE = 4096  # rows of a group: what is read for one page


def write_listing(
    folder: Path, pieces: list[Piece], placed: list[PackedEpisode], groups: Mapping[str, str]
) -> None:
    """Write one row a piece, unused ones included, sorted by id.

    Args:
        folder: of the version.
        pieces: all pieces, with their first row in the episode.
        placed: where the used ones lie in the packed rows.
        groups: what stays together by recording.
    """
    places = {episode.id: (episode.start, episode.stop) for episode in placed}
    rows = [
        (
            piece.id,
            piece.split,
            piece.recording,
            piece.name,
            groups.get(piece.recording),
            piece.last - piece.first,
            piece.first,
            *places.get(piece.id, (None, None)),
        )
        for piece in sorted(pieces, key=lambda piece: piece.id)
    ]
    table = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
    table.write_parquet(folder / LISTING, compression="lz4", row_group_size=_PAGE)


def scan_listing(folder: Path) -> pl.LazyFrame:
    """Return the episodes of a version, sorted by id, unread as yet.

    Versions of format 1 have no table; theirs is made from the description, without what was
    unused and without groups.
    """
    if (folder / LISTING).is_file():
        return pl.scan_parquet(folder / LISTING, glob=False)
    episodes = json.loads((folder / DESCRIPTION).read_bytes())["episodes"]
    rows = [
        {**one, "group": None, "first": 0, "rows": one["stop"] - one["start"]} for one in episodes
    ]
    return pl.DataFrame(rows, schema=_SCHEMA).sort("id").lazy()


def page(frame: pl.LazyFrame, offset: int, limit: int) -> list[Json]:
    """Return `limit` rows after the first `offset`."""
    return frame.slice(offset, limit).collect(engine="streaming").to_dicts()
