"""Prefetch: read many new logs in parallel processes before one ingest stores them.

A process publishes raw bytes and recordings, and enters no members. The ingest that follows finds
these artifacts cached. A process that fails only costs time.
"""

from collections.abc import Iterable
from pathlib import Path

from kinemill.ingest.decisions import current_decisions
from kinemill.ingest.file_stat import FileStat, read_file_stat
from kinemill.ingest.files import scan, wait_for_settled
from kinemill.ingest.log_digest import hash_logs
from kinemill.ingest.membership import name_new_members
from kinemill.ingest.recording import Job, record
from kinemill.ingest.scan_cache import ScanCache
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.protocols import NullReporter


def new_logs(task: Task, home: Home, folder: Path) -> list[FileStat]:
    """Return the logs of a folder that are new or changed since the last ingest, by name.

    Raises:
        BadInput: there is no such folder.
    """
    return scan(task, folder, ScanCache(task, home, folder)).logs


def read_ahead(task: Task, home: Home, folder: Path, names: Iterable[str]) -> int:
    """Read some logs of a folder, and return the number of recordings.

    Args:
        task: defines how logs are read.
        home: holds artifacts and raw bytes; shared by all processes.
        folder: folder of the logs.
        names: names of the logs, relative to the folder; a log that is gone is skipped.
    """
    stats = (read_file_stat(str(folder), name) for name in names)
    still, _ = wait_for_settled([stat for stat in stats if stat], task.ingest.min_file_age)
    hashed, _ = hash_logs(task, still)  # the ingest reports the others
    decisions = current_decisions(home, task.name)
    barred = {hash_ for hash_, made in decisions.items() if made.bars}
    jobs: list[Job] = [
        (task, home, member, path)
        for hash_, (member, path) in name_new_members([*hashed.items()]).items()
        if hash_ not in barred and task.ingest.wants(member.name)
    ]
    return sum(1 for _ in record(jobs, NullReporter(), enter=False))
