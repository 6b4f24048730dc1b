"""Outliers among the recordings of a task, as of the last change of its results."""

from collections.abc import Iterable

from sqlalchemy import Connection, delete, func, insert, select

from kinemill.catalog.database import transaction
from kinemill.catalog.history import batches
from kinemill.catalog.tables import outliers
from kinemill.store.home import Home


def replace_outliers(
    connection: Connection,
    task: str,
    listed: Iterable[tuple[str, str, str, str]],
    replaced: Iterable[str] | None,
) -> None:
    """Replace the outliers of some recordings, or of all.

    Args:
        connection: from `transaction`.
        task: name of the task.
        listed: check, content hash, name of the recording, and the outlier as JSON.
        replaced: content hashes whose outliers are removed; None: all.
    """
    deletion = delete(outliers).where(outliers.c.task == task)
    if replaced is None:
        connection.execute(deletion)
    else:
        for batch in batches(replaced):
            connection.execute(deletion.where(outliers.c.hash.in_(batch)))
    names = ("check", "hash", "name", "document")
    if rows := [{"task": task, **dict(zip(names, outlier, strict=True))} for outlier in listed]:
        connection.execute(insert(outliers), rows)


def find_outliers(home: Home, task: str, check: str, limit: int) -> tuple[int, list[str]]:
    """Return the number of outliers of a check, and the first ones by name, as JSON."""
    of = outliers.c
    this = (of.task == task) & (of.check == check)
    query = select(of.document).where(this).order_by(of.name, of.hash).limit(limit)
    with transaction(home) as connection:
        total = connection.execute(select(func.count()).where(this)).scalar_one()
        return total, [row[0] for row in connection.execute(query)]
