"""SQLite backup: consistent copies of databases while other processes write to them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from kinemill.errors import CorruptArtifact
from kinemill.store.home import Home

_MAGIC = b"SQLite format 3\x00"
_SIDE_FILES = ("-wal", "-shm", "-journal")  # files of SQLite next to a database
_PAGES = 1000  # pages per step; writers continue in between
_WAIT = 60.0  # s for a lock


def databases(home: Home) -> Iterator[Path]:
    """Yield MLflow's and Dagster's databases of a home, its catalog, and studies of searches."""
    yield from (path for path in (home.mlflow_db, home.catalog_db) if path.is_file())
    for folder in (home.dagster, home.root / "tune"):
        yield from (path for path in sorted(folder.rglob("*.db")) if is_database(path))


def is_database(path: Path) -> bool:
    """Return whether a file is an SQLite database."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def belongs_to_database(path: Path) -> bool:
    """Return whether a file is an auxiliary file of SQLite, which copies do not need."""
    return path.name.endswith(_SIDE_FILES)


def copy_database(source: Path, to: Path) -> None:
    """Copy a consistent state of a database by SQLite's online backup.

    Raises:
        CorruptArtifact: It is damaged; `to` is then not created.
    """
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=_WAIT)) as here,
            closing(sqlite3.connect(to)) as there,
        ):
            here.backup(there, pages=_PAGES)
            there.execute("PRAGMA journal_mode=DELETE")
            (result,) = there.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        to.unlink(missing_ok=True)
        raise CorruptArtifact(source, f"is not a complete database ({error})") from error
    if result != "ok":
        to.unlink(missing_ok=True)
        raise CorruptArtifact(source, f"is damaged: {result}", fix="restore it from a backup")
