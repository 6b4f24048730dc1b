"""Room on the disk: saying early that it runs out, and plainly that it has.

A disk is short when less is free than is likely to be needed, or less than 5 % of it, but no less
than 2 GB (a run's checkpoints, logs and databases) and no more than 20 GB (of a large disk 5 % is
plenty).
"""

import errno
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from kinemill.errors import KinemillError, causes

SHARE, LEAST, MOST = 0.05, 2e9, 20e9  # of the disk; bytes
_NOTHING = 64 * 1024  # bytes; with less free, SQLite cannot extend its files
_WHAT_TO_DO = "make room: kinemill gc --dry-run says what may go, kinemill gc lets it go"
_FULL = {errno.ENOSPC, errno.EDQUOT}
# What libraries say that raise no OSError: polars and other Rust, SQLite.
_SAID = ("no space left on device", "database or disk is full", "disk quota exceeded")


class DiskFull(KinemillError, OSError):
    """A write for which there was no room; what was there before is as it was."""

    exit_code = 4


def shortage(path: Path, need: float = 0.0) -> str | None:
    """Say that the disk of a folder is short of room, or nothing if it is not.

    Args:
        path: the folder, or one that is still to be made.
        need: bytes that are about to be written.
    """
    there = _there(path)
    found = shutil.disk_usage(there)
    wanted = max(need, min(max(SHARE * found.total, LEAST), MOST))
    if found.free >= wanted:
        return None
    why = "that is likely to be needed" if wanted == need else "that should stay free"
    return (
        f"{there}: {_gb(found.free)} free of {_gb(found.total)}, {_gb(wanted)} {why}; {_WHAT_TO_DO}"
    )


def warn(path: Path, say: Callable[[str], None], need: float = 0.0) -> None:
    """Tell, where a run begins, that the disk is short of room."""
    if told := shortage(path, need):
        say(f"warning: {told}")


def full_disk(error: BaseException, path: Path) -> DiskFull | None:
    """Return the plain words for an error behind which there is a full disk, None for others.

    Args:
        error: whatever was raised, with what caused it.
        path: what was written, where the error does not say.
    """
    for one in causes(error):
        if isinstance(one, DiskFull):
            return one
        if isinstance(one, OSError) and one.errno in _FULL:
            return _told(Path(str(one.filename)) if one.filename else _fullest(path))
        if not isinstance(one, KinemillError) and any(say in str(one).lower() for say in _SAID):
            return _told(_fullest(path))
    return None


def _fullest(path: Path) -> Path:
    """Return where the least room is: a folder, or where temporary files or relative paths go."""
    places = (path, Path(tempfile.gettempdir()), Path.cwd())
    return min(places, key=lambda place: shutil.disk_usage(_there(place)).free)


def full_system(path: Path) -> DiskFull | None:
    """Return the error of a full disk if the file system of a folder has no room left."""
    return _told(path) if shutil.disk_usage(_there(path)).free < _NOTHING else None


def _told(path: Path) -> DiskFull:
    there = _there(path)
    mount = next(one for one in (there, *there.parents) if one.is_mount())
    usage = shutil.disk_usage(there)
    room = f"{usage.free:,} of {usage.total:,} bytes are free"
    full = DiskFull(path, f"no space left on the file system {mount}, {room}", fix=_WHAT_TO_DO)
    full.errno = errno.ENOSPC
    return full


@contextmanager
def telling(path: Path) -> Generator[None]:
    """Raise what a full disk makes of the work within as `DiskFull`.

    Raises:
        DiskFull: there was no room.
    """
    try:
        yield
    except Exception as error:
        full = full_disk(error, path)
        if full is None or full is error:
            raise
        raise full from error


def _there(path: Path) -> Path:
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"


def is_fault_of_content(error: Exception) -> bool:
    """Return whether an unexpected error follows from what is read, not from disk or memory.

    One log that trips a reader or a check must not stop the others. An error that kinemill raises
    on purpose, one of the operating system and a lack of memory concern all of them.
    """
    if full_disk(error, Path.cwd()):
        return False
    if isinstance(error, OSError):
        return error.errno is None  # h5py says OSError of damaged bytes
    return not isinstance(error, KinemillError | MemoryError)
