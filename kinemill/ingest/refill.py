"""Refill of the catalog: the recordings of a task, from its memberships and their artifacts."""

from typing import NamedTuple

from kinemill import catalog
from kinemill.catalog import CatalogEntry, SetRules
from kinemill.ingest import snapshot
from kinemill.ingest.decisions import current_decisions
from kinemill.ingest.edited_log import edit_digests
from kinemill.ingest.index import pending, save_index
from kinemill.ingest.inspection import read_before
from kinemill.ingest.membership import members
from kinemill.ingest.recordings import reading_rules
from kinemill.ingest.snapshot import entry_of
from kinemill.store import digest, drop_indexes
from kinemill.store.home import Home
from kinemill.store.locks import lock
from kinemill.task import Task


class Refilled(NamedTuple):
    """Number of recordings in the catalog, and of those that the next ingest has to read."""

    recordings: int
    unread: int


def refill(task: Task, home: Home) -> Refilled:
    """Enter the recordings of a task in an empty catalog.

    Artifacts are trusted; their bytes are checked when they are read. If the artifact of a
    recording is missing, the next ingest checks every recording.
    """
    with lock(home, f"ingest-{task.name}"):
        drop_indexes(home, task.name)
        decisions = current_decisions(home, task.name)
        barred = frozenset(hash_ for hash_, made in decisions.items() if made.bars)
        released = frozenset(h for h, made in decisions.items() if made.decision == "release")
        entries, unread = dict[str, CatalogEntry | None](), len(pending(home, task.name))
        for member in members(home, task.name).values():
            if member.hash in barred or not task.ingest.wants(member.name):
                continue
            if artifact := read_before(task, home, member):
                is_released = member.hash in released
                entries[member.hash] = entry_of(
                    member.hash, member.name, artifact, released=is_released
                )
            else:
                unread += 1
        edits = edit_digests(home, task.name)
        by = SetRules(digest(reading_rules(task)), barred, released, edits)
        head = catalog.amend(home, task.name, entries, by, whole=True)
        if entries and not unread:
            save_index(home, task.name, snapshot.publish(home, task.name, head).ref)
    return Refilled(len(entries), unread)
