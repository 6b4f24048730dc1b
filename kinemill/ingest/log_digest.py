"""Log digest: the sha256 that identifies a log, over its videos as well if the task reads them."""

import hashlib
from collections.abc import Sequence
from io import BufferedReader
from pathlib import Path

from kinemill.ingest.file_stat import FileStat, read_file_stat
from kinemill.ingest.files import why_unread
from kinemill.ingest.readers._lerobot_videos import EpisodeVideo, find_videos, uses_videos
from kinemill.ingest.readers._video_archive import write_blocks
from kinemill.parallel import on_threads
from kinemill.store import file_digest
from kinemill.store.digests import copy
from kinemill.task import Task


def log_digest(task: Task, path: Path) -> str:
    """Return the sha256 of a log, or of its video archive if the task reads its videos.

    Raises:
        OSError: the log or a video cannot be read.
    """
    videos = _videos(task, path)
    if not videos:
        return file_digest(path)
    sha256 = hashlib.sha256()
    for block in write_blocks(path, videos):
        sha256.update(block)
    return sha256.hexdigest()


def hash_logs(
    task: Task, file_stats: Sequence[FileStat]
) -> tuple[dict[FileStat, str], dict[FileStat, str]]:
    """Return the content hashes of the logs that could be read, and why the others could not."""

    def hash_or_problem(log: FileStat) -> tuple[str, str]:
        try:
            hash_ = log_digest(task, log.path)
        except OSError as error:
            return "", why_unread(error)
        is_same = read_file_stat(log.folder, log.name) == log
        return hash_, "" if is_same else "changed while it was read"

    results = [*zip(file_stats, on_threads(hash_or_problem, file_stats), strict=True)]
    read = {log: hash_ for log, (hash_, why) in results if not why}
    return read, {log: why for log, (_, why) in results if why}


def copy_log(task: Task, original: BufferedReader, to: Path) -> str:
    """Copy an open log, or its video archive, to a new file; return the sha256 of the copy in hex.

    Raises:
        OSError: the log or a video cannot be read.
    """
    path = Path(original.name)
    sha256 = hashlib.sha256()
    videos = _videos(task, path)
    if not videos:
        return copy(original, to)
    with to.open("xb") as file:
        for block in write_blocks(path, videos):
            sha256.update(block)
            file.write(block)
    return sha256.hexdigest()


def _videos(task: Task, path: Path) -> list[EpisodeVideo]:
    return find_videos(path) if uses_videos(task, path) else []
