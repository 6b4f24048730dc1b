"""Renewals: recordings whose membership was written again, with other metadata.

No set of the catalog depends on metadata, so that its changes do not show them. Numbers grow.
"""

from collections.abc import Collection

from sqlalchemy import func, insert, select

from kinemill.catalog.database import transaction
from kinemill.catalog.tables import renewals
from kinemill.store.home import Home


def note_renewals(home: Home, task: str, hashes: Collection[str]) -> None:
    """Note recordings whose membership is written; call it before and after.

    Before, since a killed process leaves no later chance; after, since a reader may come between.
    """
    if not hashes:
        return
    query = select(func.max(renewals.c.number)).where(renewals.c.task == task)
    with transaction(home, write=True) as connection:
        last = connection.execute(query).scalar() or 0
        rows = [
            {"task": task, "number": number, "hash": hash_}
            for number, hash_ in enumerate(sorted(hashes), last + 1)
        ]
        connection.execute(insert(renewals), rows)


def last_renewal(home: Home, task: str) -> int:
    """Return the number of the last renewal, 0 without one."""
    query = select(func.max(renewals.c.number)).where(renewals.c.task == task)
    with transaction(home) as connection:
        return connection.execute(query).scalar() or 0


def renewed_since(home: Home, task: str, number: int) -> set[str]:
    """Return the content hashes of the recordings that were renewed after a renewal."""
    of = renewals.c
    query = select(of.hash).where(of.task == task, of.number > number)
    with transaction(home) as connection:
        return {row[0] for row in connection.execute(query)}
