"""Files that were read: stat and content hash of each file of a folder of logs at its last ingest.

A row is a cache: without it, the next ingest reads the file again.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter

from sqlalchemy import ColumnElement, Select, bindparam, delete, insert, or_, select

from kinemill.catalog.database import transaction
from kinemill.catalog.history import batches
from kinemill.catalog.tables import files
from kinemill.store.home import Home

Names = dict[bytes, bytes]  # stats of the files of one directory, by name
_Query = Select[bytes, bytes, bytes, bytes]  # directory, name, stat, hash
_CHUNK = 100_000  # rows per statement


class FolderFiles:
    """The files of one folder that were read; names are bytes relative to the folder.

    Args:
        home: its home.
        folder: key of the folder, and of the rules that define which files are logs.
    """

    def __init__(self, home: Home, folder: str) -> None:
        self._home = home
        self._folder = folder

    def __iter__(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Yield name, stat and hash of every file."""
        return self._rows(self._query())

    def directories(self) -> Iterator[tuple[bytes, Names]]:
        """Yield each directory with the stats of its files, sorted; names end in `/`."""
        of = files.c
        query = select(of.directory, of.name, of.stat).where(of.folder == self._folder)
        with transaction(self._home) as connection:
            rows = connection.execute(query.order_by(of.directory, of.name)).yield_per(1000)
            for directory, group in groupby(rows, itemgetter(0)):
                yield directory, {name: stat for _, name, stat in group}

    def any(self) -> bool:
        """Return whether any file was read."""
        return next(self._rows(self._query().limit(1)), None) is not None

    def find(self, names: Iterable[bytes]) -> dict[bytes, tuple[bytes, bytes]]:
        """Return stat and hash of some files, by name."""
        of = files.c
        by_name = dict[bytes, tuple[bytes, bytes]]()
        query = select(of.stat, of.hash).where(*self._is_named())
        with transaction(self._home) as connection:
            for name in names:
                if row := connection.execute(query, self._key(name)).first():
                    by_name[name] = row.stat, row.hash
        return by_name

    def beginning_with(self, bases: Iterable[bytes]) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Yield name, stat and hash of the files named `base`, or `base` with a suffix."""
        of = files.c
        for base in bases:
            directory, name = _split(base)
            dotted = (of.name >= name + b".") & (of.name < name + b"/")
            yield from self._rows(
                self._query().where(of.directory == directory, or_(of.name == name, dotted))
            )

    def of_size(
        self, size: int, hash_: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Yield name, stat and hash of the files of a size, bytes, and of a content if given."""
        query = self._query().where(files.c.size == size)
        return self._rows(query if hash_ is None else query.where(files.c.hash == hash_))

    def with_hashes(self, hashes: Iterable[bytes]) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Yield name, stat and hash of the files with one of these contents; reads every row."""
        for batch in batches(hashes):
            yield from self._rows(self._query().where(files.c.hash.in_(batch)))

    def change(
        self, removed: Iterable[bytes], added: Mapping[bytes, tuple[int, bytes, bytes]]
    ) -> None:
        """Delete the rows of some files, then add rows, in one transaction.

        Removed names need not have a row; an added row of the same name is replaced. `added` holds
        size in bytes, stat and hash by name.
        """
        columns = files.columns.keys()
        rows: list[dict[str, object]] = [
            dict(zip(columns, (self._folder, *_split(name), *entry), strict=True))
            for name, entry in added.items()
        ]
        unwanted = [self._key(name) for name in {*removed, *added}]
        statement = delete(files).where(*self._is_named())
        with transaction(self._home, write=True) as connection:
            for batch in batches(unwanted, _CHUNK):
                connection.execute(statement, batch)
            for batch in batches(rows, _CHUNK):
                connection.execute(insert(files), batch)

    def _query(self) -> _Query:
        of = files.c
        return select(of.directory, of.name, of.stat, of.hash).where(of.folder == self._folder)

    def _rows(self, query: _Query) -> Iterator[tuple[bytes, bytes, bytes]]:
        with transaction(self._home) as connection:
            for row in connection.execute(query).yield_per(1000):
                yield row.directory + row.name, row.stat, row.hash

    def _key(self, name: bytes) -> dict[str, str | bytes]:
        """Return the parameters of `_is_named` for a file."""
        directory, last = _split(name)
        return {"in_folder": self._folder, "in_directory": directory, "with_name": last}

    @staticmethod
    def _is_named() -> tuple[ColumnElement[bool], ...]:
        of = files.c
        return (
            of.folder == bindparam("in_folder"),
            of.directory == bindparam("in_directory"),
            of.name == bindparam("with_name"),
        )


def _split(name: bytes) -> tuple[bytes, bytes]:
    """Return the directory of a file, with a final `/` or empty, and the last part of its name."""
    directory, slash, last = name.rpartition(b"/")
    return directory + slash, last
