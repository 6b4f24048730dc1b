"""Accepted episodes in a table: each becomes an object when it is used.

A million objects with their names and folders need more than 1 GB of memory, the table 0.4 GB.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any, overload

import polars as pl

from kinemill.catalog.evaluations import ListedEpisode
from kinemill.catalog.history import batches
from kinemill.store import ArtifactRef, Home, open_ref
from kinemill.validate.episodes import Episode

_SCHEMA = {
    "id": pl.String, "recording": pl.String, "name": pl.String, "rows": pl.Int64,
    "file": pl.Categorical, "path": pl.String, "artifact": pl.String, "part": pl.Categorical,
}  # fmt: skip
_BATCH = 5_000  # episodes that are objects while the table is made
_OPEN = 64  # folders whose bytes are not verified again; episodes of one recording share one


class AcceptedEpisodes(Sequence[Episode]):
    """Accepted episodes, sorted by recording and id.

    Args:
        home: where they are stored.
        table: their fields, `artifact` being the digest of the artifact in the folder `path`.
    """

    def __init__(self, home: Home, table: pl.DataFrame) -> None:
        self._home = home
        self.table = table
        self._open = lru_cache(_OPEN)(partial(open_ref, home))

    @classmethod
    def of_catalog(cls, home: Home, listed: Iterable[ListedEpisode]) -> "AcceptedEpisodes":
        """Return episodes that the catalog lists."""
        parts = [
            pl.DataFrame(
                [
                    (e.id, e.recording, e.name, e.rows, e.file, e.ref.path, e.ref.digest, e.part)
                    for e in batch
                ],
                _SCHEMA,
                orient="row",
            )
            for batch in batches(listed, _BATCH)
        ]
        return cls(home, pl.concat([pl.DataFrame(schema=_SCHEMA), *parts]))

    def filter(self, condition: pl.Expr) -> "AcceptedEpisodes":
        """Return the episodes that fulfill a condition on the table."""
        return AcceptedEpisodes(self._home, self.table.filter(condition))

    def __add__(self, following: "AcceptedEpisodes") -> "AcceptedEpisodes":
        """Return these episodes, and then `following` ones of the same home."""
        return AcceptedEpisodes(self._home, pl.concat([self.table, following.table]))

    def __len__(self) -> int:
        return self.table.height

    def __iter__(self) -> Iterator[Episode]:
        return map(self._episode, self.table.iter_rows())

    @overload
    def __getitem__(self, index: int) -> Episode: ...
    @overload
    def __getitem__(self, index: slice) -> "AcceptedEpisodes": ...
    def __getitem__(self, index: int | slice) -> "Episode | AcceptedEpisodes":
        """Return one episode, or several."""
        if isinstance(index, slice):
            return AcceptedEpisodes(self._home, self.table[index])
        return self._episode(self.table.row(index))

    def _episode(self, row: tuple[Any, ...]) -> Episode:
        id_, recording, name, rows, file, path, artifact, part = row
        folder = partial(self._open, ArtifactRef(path, artifact))
        return Episode(id_, recording, name, rows, file, folder, artifact, part)
