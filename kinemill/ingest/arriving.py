"""What the arrival sensor sees of a drop folder: which logs are complete, and which contents."""

import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from kinemill.home import Home
from kinemill.ingest.files import Sight, scan
from kinemill.ingest.sights import Book, open_book
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
    return [sight.path for sight in _settled(task, open_book(task, home, folder), folder, now)]


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
    book, contents = open_book(task, home, folder), set[str]()
    for sight in _settled(task, book, folder, now):
        # A file that is gone since it was seen, or not ours to read, is as good as not there.
        with suppress(OSError):
            contents.add(book.hash_of(sight) or _content(sight))
    return set_digest(contents)


def _settled(task: Task, book: Book, folder: Path, now: float | None) -> list[Sight]:
    if not folder.exists():
        return []
    moment = time.time() if now is None else now
    logs = scan(task, folder, book.knows).logs
    return [sight for sight in logs if sight.age(moment) >= task.ingest.settle]


@lru_cache(maxsize=100_000)
def _content(sight: Sight) -> str:
    return file_digest(sight.path)
