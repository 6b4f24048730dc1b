"""Items that garbage collection can delete, with kind, size and reason."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from kinemill.store import Home, fault_point


@dataclass(frozen=True)
class Item:
    """A deletable item.

    Attributes:
        kind: displayed kind: `model`, `training log`.
        name: path relative to the home, or id of a run.
        task: name of its task, or "".
        bytes: bytes to free.
        used: last use, s since the epoch.
        why: short reason for the deletion.
        remove: deletes the item; returns whether it was deleted.
    """

    kind: str
    name: str
    task: str
    bytes: int
    used: float
    why: str
    remove: Callable[[], bool]


def drop(home: Home, path: Path, used_since: float | None = None) -> bool:
    """Move a file or folder to `.staging/`, then delete it; a crash leaves no partial folder.

    Args:
        home: the home.
        path: the file or folder.
        used_since: s since the epoch; artifacts used later are kept. This is checked again after
            the move, to restore an artifact with a concurrent cache hit.

    Returns:
        Whether it was deleted.
    """
    aside = home.store / ".staging" / f"gone-{uuid4().hex}"
    aside.parent.mkdir(parents=True, exist_ok=True)
    if _is_in_use(path, used_since):
        return False
    try:
        path.rename(aside)
    except FileNotFoundError:
        return False  # another process deleted it
    fault_point("gc.aside")
    if _is_in_use(aside, used_since):
        with suppress(OSError):  # rebuilt identically in the meantime
            aside.rename(path)
            return False
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside)
    else:
        aside.unlink()
    fault_point("gc.gone")
    return True


def _is_in_use(path: Path, used_since: float | None) -> bool:
    if used_since is None:
        return False
    with suppress(FileNotFoundError):
        return path.stat().st_mtime > used_since
    return False
