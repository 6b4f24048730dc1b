"""Rebuild the catalog from the store, which contains all its data."""

from typing import NamedTuple

from kinemill import catalog
from kinemill.catalog import CatalogEntry, SetRules
from kinemill.errors import BadInput
from kinemill.ingest import snapshot
from kinemill.ingest.decisions import current_decisions
from kinemill.ingest.edited_log import edit_digests
from kinemill.ingest.index import drop_index, pending, save_index
from kinemill.ingest.inspection import read_before
from kinemill.ingest.membership import members
from kinemill.ingest.recordings import reading_rules
from kinemill.ingest.snapshot import entry_of
from kinemill.search.segments import Segments
from kinemill.search.view import FOLDER as VIEW
from kinemill.store import Home, Json, digest, drop_indexes, fault_point, index_path
from kinemill.store.disk_space import convert_disk_errors
from kinemill.store.locks import lock, unused
from kinemill.task import Task, load_task


def rebuild_catalog(home: Home) -> Json:
    """Replace the catalog by a new one from the memberships and artifacts of each task.

    The next validation looks at the results of every recording. A task with an invalid file is
    filled by its next ingest, which checks every recording.

    Returns:
        Home, `backup` (the replaced file, or null), and for each task its `recordings` and the work
        of its `next` ingest.

    Raises:
        BadInput: A process uses the home.
    """
    names = sorted(path.name for path in home.store.glob("members/*") if path.is_dir())
    with unused(home), convert_disk_errors(home.root):
        replaced = catalog.discard(home)
        fault_point("rebuild.discarded")
        for name in names:
            drop_indexes(home, name)
    for name in names:  # numbers of renewals begin anew, and a view remembers the last one
        Segments(index_path(home, name, VIEW)).discard()
    tasks = {name: _refill(home, name) for name in names}
    return {"home": str(home.root), "backup": str(replaced) if replaced else None, "tasks": tasks}


def _refill(home: Home, name: str) -> Json:
    try:
        task = load_task(name)
    except BadInput as error:
        problem = f"checks every recording: {str(error).splitlines()[0]}"
        return {"recordings": 0, "next": problem}
    filled = refill(task, home)
    todo = f"reads {filled.unread}, checks every recording" if filled.unread else "reads new logs"
    return {"recordings": filled.recordings, "next": todo}


class Refilled(NamedTuple):
    """Number of recordings in the catalog, and of those that the next ingest has to read."""

    recordings: int
    unread: int


def refill(task: Task, home: Home) -> Refilled:
    """Enter the recordings of a task in an empty catalog.

    The artifacts are trusted; their bytes are checked when they are read. If the artifact of a
    recording is missing, the next ingest checks every recording.
    """
    with lock(home, f"ingest-{task.name}"):
        drop_index(home, task.name)
        decisions = current_decisions(home, task.name)
        barred = frozenset(hash_ for hash_, made in decisions.items() if made.bars)
        released = frozenset(h for h, made in decisions.items() if made.decision == "release")
        by = SetRules(digest(reading_rules(task)), barred, released, edit_digests(home, task.name))
        entries = dict[str, CatalogEntry | None]()
        unread = len(pending(home, task.name))
        for member in members(home, task.name).values():
            if member.hash in barred or not task.ingest.wants(member.name):
                continue
            is_released = member.hash in released
            if artifact := read_before(task, home, member):
                entries[member.hash] = entry_of(
                    member.hash, member.name, artifact, released=is_released
                )
            else:
                unread += 1
        head = catalog.amend(home, task.name, entries, by, whole=True)
        if entries and not unread:
            save_index(home, task.name, snapshot.publish(home, task.name, head).ref)
    return Refilled(len(entries), unread)
