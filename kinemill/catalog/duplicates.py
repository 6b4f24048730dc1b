"""Near-duplicates: what each recording, or part of one, repeats.

The rows follow from the notes of `kinemill.validate.duplicates.registry`, which are the record.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, delete, insert, select

from kinemill.catalog.database import transaction
from kinemill.catalog.history import batches
from kinemill.catalog.tables import duplicates
from kinemill.store.home import Home

Roots = Mapping[str, str]  # by part of a recording; "" for the recording as a whole


def read_notes(home: Home, task: str) -> dict[str, dict[str, str]]:
    """Return the roots of the parts of every recording with rows, by content hash."""
    with transaction(home) as connection:
        return _read_rows(connection, task)


def enter(home: Home, task: str, notes: Mapping[str, Roots], without: Iterable[str] = ()) -> None:
    """Add the rows of some recordings unless they exist, and delete those of others."""
    with transaction(home, write=True) as connection:
        present = _read_rows(connection, task)
        table = duplicates.c
        rows = [
            {"task": task, "hash": hash_, "part": part, "root": root}
            for hash_, roots in notes.items()
            if hash_ not in present
            for part, root in roots.items()
        ]
        for batch in batches(rows):
            connection.execute(insert(duplicates), batch)
        for hashes in batches(without):
            unwanted = (table.task == task) & table.hash.in_(hashes)
            connection.execute(delete(duplicates).where(unwanted))


def _read_rows(connection: Connection, task: str) -> dict[str, dict[str, str]]:
    query = select(duplicates).where(duplicates.c.task == task)
    notes = dict[str, dict[str, str]]()
    for row in connection.execute(query):
        notes.setdefault(row.hash, {})[row.part] = row.root
    return notes
