"""Rebuild the catalog from the store, which contains all its data, or from a backup of it."""

import shutil
from pathlib import Path

from kinemill import catalog
from kinemill.errors import BadInput
from kinemill.ingest.refill import refill
from kinemill.maintenance.backup_pool import open_backup
from kinemill.maintenance.restore import ASIDE, copy_file
from kinemill.search.segments import Segments
from kinemill.search.view import FOLDER as VIEW
from kinemill.store import Home, Json, drop_indexes, fault_point, index_path
from kinemill.store.atomic_write import Move, settle
from kinemill.store.database import VARIABLE, database
from kinemill.store.disk_space import convert_disk_errors
from kinemill.store.locks import unused
from kinemill.task import load_task


def rebuild_catalog(home: Home, source: Path | None = None, at: str | None = None) -> Json:
    """Replace the catalog by a new one from the memberships and artifacts of each task.

    With a backup, its catalog comes first, and only what changed since is entered. Without one, the
    next validation looks at the results of every recording.
    A task with an invalid file is filled by its next ingest, which checks every recording.

    Args:
        home: the home.
        source: folder with backups of the home; None: start from an empty catalog.
        at: prefix of the backup's time; None: the last backup.

    Returns:
        Home, `backup` (the replaced file, or null), `made` (time of the backup, or null), and for
        each task its `recordings` and the work of its `next` ingest.

    Raises:
        BadInput: A process uses the home, there is no such backup, or it holds no catalog.
        CorruptArtifact: The catalog in the backup is damaged; the home is unchanged.
    """
    names = sorted(path.name for path in home.store.glob("members/*") if path.is_dir())
    with unused(home), convert_disk_errors(home.root):
        made = _copy_aside(home, source, at) if source else None
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


def _copy_aside(home: Home, source: Path, at: str | None) -> str:
    """Copy the catalog of a backup to the temporary folder; return the time of the backup."""
    if database() is not None:
        fix = "restore its schema kinemill with pg_restore"
        raise BadInput(VARIABLE, "is set: backups do not hold a shared database", fix=fix)
    made, files = open_backup(source, at)
    name = home.catalog_db.relative_to(home.root).as_posix()
    entry = next((one for one in files if one.path == name), None)
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
