"""Restore a home from a backup: first to a temporary folder, then to its place."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from kinemill.errors import BadInput
from kinemill.maintenance.backups import Entry, damaged, object_path, open_backup
from kinemill.store import Json, fault_point
from kinemill.store.atomic_write import Move, settle
from kinemill.store.digests import copy
from kinemill.store.disk_space import convert_disk_errors, shortage
from kinemill.store.home import RESTORE_MARKER, Home
from kinemill.store.locks import MAINTENANCE, file_timestamp, lock, unused
from kinemill.task.protocols import Progress

ASIDE = ".restored"  # temporary folder of the home
_NOTHING = {".locks", "alerts.yaml", "backups", ASIDE, RESTORE_MARKER}  # entries of an empty home


def restore(home: Home, source: Path, progress: Progress, *, replace: bool = False) -> Json:
    """Restore a home to the state of a backup; check every file.

    All files are read and checked before any is moved to its place. Existing content is moved to
    `.replaced-TIME/` in the home, which the user can delete. If the process is killed in between,
    the home is marked as partly restored, and another restore completes it.

    Args:
        home: the home, empty unless `replace`.
        source: folder of the backup.
        progress: receives messages.
        replace: whether the home can have content.

    Returns:
        The document of `kinemill admin restore`.

    Raises:
        BadInput: The home is not empty or in use, or there is no backup.
        CorruptArtifact: A file of the backup is damaged; the home is unchanged.
    """
    made, files = open_backup(source)
    _check(home, files, replace=replace)
    home.root.mkdir(parents=True, exist_ok=True)
    aside = home.root / ASIDE
    with (
        unused(home),
        lock(home, MAINTENANCE, progress.log_message),
        convert_disk_errors(home.root),
    ):
        shutil.rmtree(aside, ignore_errors=True)
        for number, entry in enumerate(files, start=1):
            copy_file(source, entry, aside)
            progress.advance("restore", number, len(files), entry.path)
        fault_point("restore.read")
        replaced = _exchange(home, aside)
        shutil.rmtree(aside, ignore_errors=True)
    return {
        "home": str(home.root),
        "made": made,
        "files": len(files),
        "bytes": sum(entry.bytes for entry in files),
        "replaced": replaced,
    }


def _check(home: Home, files: Sequence[Entry], *, replace: bool) -> None:
    there = {path.name for path in home.root.glob("*")} - _NOTHING if home.root.is_dir() else ()
    if there and not replace and not (home.root / RESTORE_MARKER).exists():
        raise BadInput(
            home.root,
            f"is not empty: it has {', '.join(sorted(there)[:5])}",
            fix="set KINEMILL_HOME to a new folder, or use --replace: it moves existing files to "
            ".replaced-TIME",
        )
    if text := shortage(home.root, sum(entry.bytes for entry in files)):
        raise BadInput(home.root, text)


def copy_file(source: Path, entry: Entry, aside: Path) -> None:
    """Copy one file of the backup to the temporary folder."""
    stored = object_path(source, entry.sha256)
    to = aside / entry.path  # checked by `open_backup`
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        with stored.open("rb") as original:
            sha256 = copy(original, to)
    except FileNotFoundError as error:
        raise damaged(stored, entry.path) from error
    if sha256 != entry.sha256:
        raise damaged(stored, entry.path)
    os.utime(to, ns=(entry.mtime_ns, entry.mtime_ns))
    to.chmod(entry.mode)


def _exchange(home: Home, aside: Path) -> str | None:
    """Move the restored content to its place; return the folder of the old content."""
    (home.root / RESTORE_MARKER).touch()
    stamp = file_timestamp()
    old = home.root / f".replaced-{stamp}"
    moved = list[str]()
    for path in sorted(home.root.iterdir()):
        if path.name not in _NOTHING and not path.name.startswith(".replaced-"):
            old.mkdir(exist_ok=True)
            path.rename(old / path.name)
            moved.append(path.name)
    fault_point("restore.replaced")
    settle([Move(path, home.root / path.name) for path in sorted(aside.iterdir())])
    fault_point("restore.placed")
    (home.root / RESTORE_MARKER).unlink()
    return str(old) if moved else None
