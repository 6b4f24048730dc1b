"""Copies of large logs that are written while they are hashed: most that look new, are."""

import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from uuid import uuid4

from kinemill.ingest.file_stat import FileStat
from kinemill.store.disk_space import telling
from kinemill.store.home import Home

LEAST = 1 << 20  # bytes; a smaller file is read again in no time
MOST = 1 << 29  # bytes that are written ahead at most, as some may turn out to be known


@contextmanager
def copying_ahead(home: Home) -> Generator[Callable[[FileStat], Path | None]]:
    """Yield what says where a file may be written while it is hashed, None for nowhere.

    What nobody has taken from there in the end is removed.
    """
    folder = home.store / ".staging" / f"ahead-{uuid4().hex}"
    left, guard = MOST, Lock()

    def place(sight: FileStat) -> Path | None:
        nonlocal left
        with guard:
            if not LEAST <= sight.size <= left:
                return None
            left -= sight.size
        with telling(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder / uuid4().hex

    try:
        yield place
    finally:
        shutil.rmtree(folder, ignore_errors=True)
