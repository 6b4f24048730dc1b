"""What the arrival sensor sees of a drop folder: which logs are complete, and which contents."""

import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from kinemill.home import Home
from kinemill.ingest.files import Found, nothing_found, scan
from kinemill.ingest.looks import Sight
from kinemill.ingest.sights import open_book
from kinemill.shards import set_digest
from kinemill.spec import Task
from kinemill.store import file_digest

NOTHING = set_digest([])


def settled(task: Task, home: Home, folder: Path, now: float | None = None) -> list[Path]:
    """Return the logs under `folder` that have not changed for `ingest.settle` seconds at `now`.

    Args:
        task: says which files are logs.
        home: where is kept which files were read already.
        folder: a drop folder; one that does not exist holds nothing.
        now: s since the epoch.
    """
    found = _look(task, home, folder)
    return [sight.path for sight in sorted([*found.familiar, *_settled(task, found, now)])]


def fingerprint(task: Task, home: Home, folder: Path, now: float | None = None) -> str:
    """Return a digest of the set of contents that lie settled under `folder`.

    A rename, a copy or a touched file leaves it as it is. Each file is read once as long as it
    looks the same, by the ingest before or by this process.

    Args:
        task: says which files are logs.
        home: where is kept which files were read already.
        folder: a drop folder; one that does not exist holds nothing.
        now: s since the epoch.
    """
    found = _look(task, home, folder)
    contents = found.familiar.contents()
    for sight in _settled(task, found, now):
        # A file that is gone since it was seen, or not ours to read, is as good as not there.
        with suppress(OSError):
            contents.add(bytes.fromhex(_content(sight)))
    return set_digest(contents)


def _look(task: Task, home: Home, folder: Path) -> Found:
    if not folder.exists():
        return nothing_found()
    return scan(task, folder, open_book(task, home, folder).files)


def _settled(task: Task, found: Found, now: float | None) -> list[Sight]:
    """Return the files that are new, or look different, and are complete."""
    moment = time.time() if now is None else now
    return [sight for sight in found.logs if sight.age(moment) >= task.ingest.settle]


@lru_cache(maxsize=100_000)
def _content(sight: Sight) -> str:
    return file_digest(sight.path)
