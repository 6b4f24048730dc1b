"""Rebuild the catalog from the store, which contains all its data, or from a backup of it."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from kinemill import catalog
from kinemill.catalog import CatalogEntry, RecordingSet, SetRules
from kinemill.errors import BadInput
from kinemill.ingest import snapshot
from kinemill.ingest.decisions import current_decisions
from kinemill.ingest.edited_log import edit_digests
from kinemill.ingest.index import drop_index, pending, save_index
from kinemill.ingest.inspection import read_before
from kinemill.ingest.membership import members
from kinemill.ingest.recordings import reading_rules
from kinemill.ingest.snapshot import entry_of
from kinemill.maintenance.backups import open_backup
from kinemill.maintenance.restore import ASIDE, copy_file
from kinemill.search.segments import Segments
from kinemill.search.view import FOLDER as VIEW
from kinemill.store import Home, Json, digest, drop_indexes, fault_point, index_path
from kinemill.store.atomic_write import Move, settle
from kinemill.store.database import VARIABLE, database
from kinemill.store.disk_space import convert_disk_errors
from kinemill.store.locks import lock, unused
from kinemill.task import Task, load_task


def rebuild_catalog(home: Home, source: Path | None = None) -> Json:
    """Replace the catalog by a new one from the memberships and artifacts of each task.

    With a backup, its catalog comes first, and only what changed since is entered. Without one, the
    next validation looks at the results of every recording.
    A task with an invalid file is filled by its next ingest, which checks every recording.

    Args:
        home: the home.
        source: folder of a backup of the home; None: start from an empty catalog.

    Returns:
        Home, `backup` (the replaced file, or null), `made` (time of the backup, or null), and for
        each task its `recordings` and the work of its `next` ingest.

    Raises:
        BadInput: A process uses the home, there is no backup, or it holds no catalog.
        CorruptArtifact: The catalog in the backup is damaged; the home is unchanged.
    """
    names = sorted(path.name for path in home.store.glob("members/*") if path.is_dir())
    with unused(home), convert_disk_errors(home.root):
        made = _copy_aside(home, source) if source else None
        replaced = catalog.discard(home)
        fault_point("rebuild.discarded")
        if made:
            aside = home.root / ASIDE / home.catalog_db.name
            settle([Move(aside, home.catalog_db)])
            shutil.rmtree(home.root / ASIDE)
        else:
            for name in names:
                drop_indexes(home, name)
    for name in names:  # numbers of renewals begin anew, and a view remembers the last one
        Segments(index_path(home, name, VIEW)).discard()
    tasks = {name: _refill(home, name) for name in names}
    return {
        "home": str(home.root),
        "backup": str(replaced) if replaced else None,
        "made": made,
        "tasks": tasks,
    }


def _copy_aside(home: Home, source: Path) -> str:
    """Copy the catalog of a backup to the temporary folder; return the time of the backup."""
    if database() is not None:
        fix = "restore its schema kinemill with pg_restore"
        raise BadInput(VARIABLE, "is set: backups do not hold a shared database", fix=fix)
    made, files = open_backup(source)
    name = home.catalog_db.relative_to(home.root).as_posix()
    entry = next((file for file in files if file.path == name), None)
    if entry is None:
        raise BadInput(source, f"holds no {name} in its backup of {made}", fix="leave out --from")
    shutil.rmtree(home.root / ASIDE, ignore_errors=True)
    copy_file(source, entry, home.root / ASIDE)
    return made


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
        entries = dict[str, CatalogEntry | None]()
        unread = len(pending(home, task.name))
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
    return {entry.hash: entry for entry in entries if entry.hash not in edited}
