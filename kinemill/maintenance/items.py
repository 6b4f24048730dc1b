"""Things that may go, each with its kind, size and reason, and how they go."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from kinemill.store.fault_injection import fault_point
from kinemill.store.home import Home


@dataclass(frozen=True)
class Item:
    """Something that may go.

    Attributes:
        kind: what people call it: `model`, `training log`.
        name: path relative to the home, or the id of a run.
        task: whose it is, or "".
        bytes: that become free.
        used: s since the epoch when it was last used.
        why: it may go, in a few words.
        remove: makes it go; returns whether it went.
    """

    kind: str
    name: str
    task: str
    bytes: int
    used: float
    why: str
    remove: Callable[[], bool]


def drop(home: Home, path: Path, used_since: float | None = None) -> bool:
    """Move a file or folder out of sight at once, then delete it; a crash leaves it in `.staging/`.

    Args:
        home: whose it is.
        path: what goes.
        used_since: s since the epoch; what was used later stays. It is asked after the move too,
            so that what another process has just found known is put back.

    Returns:
        whether it went.
    """
    aside = home.store / ".staging" / f"gone-{uuid4().hex}"
    aside.parent.mkdir(parents=True, exist_ok=True)
    if _is_in_use(path, used_since):
        return False
    try:
        path.rename(aside)
    except FileNotFoundError:
        return False  # somebody else was faster
    fault_point("gc.aside")
    if _is_in_use(aside, used_since):
        with suppress(OSError):  # it was made anew meanwhile, and that one is as good
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
