"""Rebuild the catalog from the store, which contains all its data."""

from kinemill import catalog
from kinemill.errors import BadInput
from kinemill.ingest.refill import refill
from kinemill.store import Json, drop_indexes
from kinemill.store.fault_injection import fault_point
from kinemill.store.home import Home
from kinemill.store.locks import unused
from kinemill.task import load_task


def rebuild_catalog(home: Home) -> Json:
    """Replace the catalog by a new one from the memberships and artifacts of each task.

    A task with an invalid file is filled by its next ingest, which checks every recording.

    Returns:
        Home, `backup` (the previous file, or null), and for each task its `recordings` and the work
        of its `next` ingest.

    Raises:
        BadInput: A process uses the home.
    """
    names = sorted(path.name for path in home.store.glob("members/*") if path.is_dir())
    with unused(home):
        backup = catalog.discard(home)
        fault_point("rebuild.discarded")
        for name in names:
            drop_indexes(home, name)
    tasks = {name: _refill(home, name) for name in names}
    return {"home": str(home.root), "backup": str(backup) if backup else None, "tasks": tasks}


def _refill(home: Home, name: str) -> Json:
    try:
        task = load_task(name)
    except BadInput as error:
        problem = f"checks every recording: {str(error).splitlines()[0]}"
        return {"recordings": 0, "next": problem}
    filled = refill(task, home)
    todo = f"reads {filled.unread}, checks every recording" if filled.unread else "reads new logs"
    return {"recordings": filled.recordings, "next": todo}
