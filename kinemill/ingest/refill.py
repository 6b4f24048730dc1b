"""Refill of the catalog: the recordings of a task, from its memberships and their artifacts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from kinemill import catalog
from kinemill.catalog import CatalogEntry, RecordingSet, SetRules
from kinemill.ingest import snapshot
from kinemill.ingest.decisions import current_decisions
from kinemill.ingest.edited_log import edit_digests
from kinemill.ingest.index import drop_index, pending, save_index
from kinemill.ingest.inspection import read_before
from kinemill.ingest.membership import members
from kinemill.ingest.recordings import reading_rules
from kinemill.ingest.snapshot import entry_of
from kinemill.store import digest
from kinemill.store.home import Home
from kinemill.store.locks import lock
from kinemill.task import Task


class Refilled(NamedTuple):
    """Number of recordings in the catalog, and of those that the next ingest has to read."""

    recordings: int
    unread: int


def refill(task: Task, home: Home) -> Refilled:
    """Enter the recordings of a task in a catalog that is empty, or restored from a backup.

    A restored entry stays if its log would be read in the same way now. The artifacts of the others
    are trusted; their bytes are checked when they are read. If the artifact of a recording is
    missing, the next ingest checks every recording.
    """
    with lock(home, f"ingest-{task.name}"):
        drop_index(home, task.name)
        decisions = current_decisions(home, task.name)
        barred = frozenset(hash_ for hash_, made in decisions.items() if made.bars)
        released = frozenset(h for h, made in decisions.items() if made.decision == "release")
        by = SetRules(digest(reading_rules(task)), barred, released, edit_digests(home, task.name))
        restored = _restored(task, home, by)
        entries, unread = dict[str, CatalogEntry | None](), len(pending(home, task.name))
        for member in members(home, task.name).values():
            if member.hash in barred or not task.ingest.wants(member.name):
                continue
            is_released = member.hash in released
            if entry := restored.get(member.hash):
                entries[member.hash] = replace(entry, released=is_released)
            elif artifact := read_before(task, home, member):
                entries[member.hash] = entry_of(
                    member.hash, member.name, artifact, released=is_released
                )
            else:
                unread += 1
        head = catalog.amend(home, task.name, entries, by, whole=True)
        if entries and not unread:
            save_index(home, task.name, snapshot.publish(home, task.name, head).ref)
    return Refilled(len(entries), unread)


def _restored(task: Task, home: Home, by: SetRules) -> Mapping[str, CatalogEntry]:
    """Return the entries of the catalog that were read by the present rules, by content hash."""
    head = catalog.read_head(home, task.name)
    if head is None or head.by.rules != by.rules:
        return {}
    edited = {hash_ for hash_, _ in head.by.edits ^ by.edits}
    entries = RecordingSet(home, task.name, head.change)
    return {one.hash: one for one in entries if one.hash not in edited}
