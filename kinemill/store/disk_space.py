"""Disk space: warn before it runs out, and report a full disk clearly.

A disk is low on space if less is free than the expected need or than 5 % of its size. The 5 % are
limited to at least 2 GB (checkpoints, logs and databases of a run) and at most 20 GB.
"""

import errno
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from kinemill.errors import KinemillError, causes

SHARE = 0.05
LEAST = 2e9
MOST = 20e9  # fraction of the disk; bytes
_NOTHING = 64 * 1024  # bytes; SQLite cannot extend its files with less
_WHAT_TO_DO = "free space with kinemill admin gc; --dry-run lists what it would delete"
_FULL = {errno.ENOSPC, errno.EDQUOT}
# Messages of libraries that do not raise OSError: polars and other Rust code, SQLite.
_FULL_MESSAGES = ("no space left on device", "database or disk is full", "disk quota exceeded")


class DiskFull(KinemillError, OSError):
    """The disk is full; existing files are unchanged."""

    exit_code = 4


def shortage(path: Path, expected: float = 0.0) -> str | None:
    """Return a message if the disk of a folder is low on space, or None."""
    folder = _existing_parent(path)
    usage = shutil.disk_usage(folder)
    required = max(expected, min(max(SHARE * usage.total, LEAST), MOST))
    if usage.free >= required:
        return None
    why = "are likely to be needed" if required == expected else "should stay free"
    return (
        f"{folder}: {_gb(usage.free)} free of {_gb(usage.total)}, {_gb(required)} {why}; "
        f"{_WHAT_TO_DO}"
    )


def warn(path: Path, report: Callable[[str], None], expected: float = 0.0) -> None:
    """Report at the start of a run that the disk is low on space."""
    if message := shortage(path, expected):
        report(f"warning: {message}")


def full_disk(error: BaseException, path: Path) -> DiskFull | None:
    """Return a DiskFull error if a full disk caused an error, or None.

    `path` is used if the error does not contain one.
    """
    for cause in causes(error):
        if isinstance(cause, DiskFull):
            return cause
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return _disk_full(Path(str(cause.filename)) if cause.filename else _fullest(path))
        if not isinstance(cause, KinemillError) and _names_full_disk(cause):
            return _disk_full(_fullest(path))
    return None


def _names_full_disk(error: BaseException) -> bool:
    """Return whether the message of a library says that a disk of this machine is full."""
    text = f"{type(error)} {error}".lower()
    if "psycopg2" in text:  # the disk of the database server
        return False
    return any(message in text for message in _FULL_MESSAGES)


def _fullest(path: Path) -> Path:
    """Return the folder with the least space: `path`, the temporary or the working folder."""
    folders = (path, Path(tempfile.gettempdir()), Path.cwd())
    return min(folders, key=lambda folder: shutil.disk_usage(_existing_parent(folder)).free)


def full_system(path: Path) -> DiskFull | None:
    """Return a DiskFull error if the file system of a folder has no space left."""
    return _disk_full(path) if shutil.disk_usage(_existing_parent(path)).free < _NOTHING else None


def _disk_full(path: Path) -> DiskFull:
    folder = _existing_parent(path)
    mount = next(parent for parent in (folder, *folder.parents) if parent.is_mount())
    usage = shutil.disk_usage(folder)
    room = f"{usage.free:,} of {usage.total:,} bytes are free"
    full = DiskFull(path, f"no space left on the file system {mount}, {room}", fix=_WHAT_TO_DO)
    full.errno = errno.ENOSPC
    return full


@contextmanager
def convert_disk_errors(path: Path) -> Generator[None]:
    """Convert errors that a full disk causes in this block to `DiskFull`.

    Raises:
        DiskFull: No space is left.
    """
    try:
        yield
    except Exception as error:
        full = full_disk(error, path)
        if full is None or full is error:
            raise
        raise full from error


def _existing_parent(path: Path) -> Path:
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"


def is_fault_of_content(error: Exception) -> bool:
    """Return whether an unexpected error comes from the data, not from disk or memory.

    One log on which a reader or a check crashes must not stop the others. Errors of kinemill, of
    the operating system and of memory concern all logs.
    """
    if full_disk(error, Path.cwd()):
        return False
    if isinstance(error, OSError):
        return error.errno is None  # h5py raises OSError without errno for damaged data
    return not isinstance(error, KinemillError | MemoryError)
