"""Hash copy: copy large logs while they are hashed, because most files that look new are new."""

import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from uuid import uuid4

from kinemill.ingest.file_stat import FileStat
from kinemill.store.disk_space import convert_disk_errors
from kinemill.store.home import Home

LEAST = 1 << 20  # bytes; smaller files are read twice instead
MOST = 1 << 29  # bytes of all copies, since some may turn out to be known


@contextmanager
def reserve_copies(home: Home) -> Generator[Callable[[FileStat], Path | None]]:
    """Yield a function that returns the path for the copy of a file, or None for no copy.

    Copies that were not moved elsewhere are deleted at the end.
    """
    folder = home.store / ".staging" / f"ahead-{uuid4().hex}"
    bytes_left, guard = MOST, Lock()

    def reserve_path(file_stat: FileStat) -> Path | None:
        nonlocal bytes_left
        with guard:
            if not LEAST <= file_stat.size <= bytes_left:
                return None
            bytes_left -= file_stat.size
        with convert_disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder / uuid4().hex

    try:
        yield reserve_path
    finally:
        shutil.rmtree(folder, ignore_errors=True)
