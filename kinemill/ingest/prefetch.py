"""Prefetch: read many new logs in parallel processes before one ingest stores them.

A share publishes what it reads, the kept bytes and the outcome of each recording, and enters no
member. The ingest that follows does all it would do, and finds the reading done; whether a share
was read, or ended halfway, changes nothing but how long that takes.
"""

from pathlib import Path

from kinemill.ingest.decisions import current_decisions
from kinemill.ingest.file_stat import FileStat
from kinemill.ingest.files import scan, wait_for_settled
from kinemill.ingest.membership import name_new_members
from kinemill.ingest.recording import Job, record
from kinemill.ingest.scan_cache import open_scan_cache
from kinemill.store.digests import digest_to_copy
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.protocols import NullReporter, Progress


def new_logs(task: Task, home: Home, folder: Path) -> list[FileStat]:
    """Return the logs in a folder that look different than at the last ingest, by name.

    Raises:
        BadInput: there is no such folder.
    """
    return scan(task, folder, open_scan_cache(task, home, folder).files).logs


def read_ahead(
    task: Task,
    home: Home,
    folder: Path,
    share: tuple[int, int],
    progress: Progress | None = None,
) -> int:
    """Read one share of the new logs in a folder, and return how many recordings that were.

    Args:
        task: says which files are logs and how they are read.
        home: where outcomes and raw bytes are kept, one that the others have too.
        folder: where the logs are; every share sees the same.
        share: its number, from 0, and how many shares there are.
        progress: hears of each file.

    Raises:
        BadInput: there is no such folder.
    """
    number, shares = share
    mine = new_logs(task, home, folder)[number::shares]
    still, _ = wait_for_settled(mine, task.ingest.min_file_age)
    hashed = [(file_stat, hash_) for file_stat in still if (hash_ := _hash(file_stat))]
    decisions = current_decisions(home, task.name)
    barred = {hash_ for hash_, made in decisions.items() if made.bars}
    jobs: list[Job] = [
        (task, home, member, path)
        for hash_, (member, path) in name_new_members(hashed).items()
        if hash_ not in barred and task.ingest.wants(member.name)
    ]
    return sum(1 for _ in record(jobs, progress or NullReporter(), enter=False))


def _hash(file_stat: FileStat) -> str | None:
    """Return the sha256 of a file's bytes; None if it cannot be read: the ingest reports that."""
    try:
        return digest_to_copy(file_stat.path)
    except OSError:
        return None
