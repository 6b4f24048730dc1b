"""Log digest: the sha256 that identifies a log, over its videos as well if the task reads them."""

import hashlib
from io import BufferedReader
from pathlib import Path

from kinemill.ingest.readers._lerobot_videos import EpisodeVideo, find_videos, uses_videos
from kinemill.ingest.readers._video_archive import write_blocks
from kinemill.store import file_digest
from kinemill.store.digests import copy
from kinemill.task import Task


def log_digest(task: Task, path: Path) -> str:
    """Return the sha256 of a log, or of its video archive if the task reads its videos.

    Raises:
        OSError: the log or a video cannot be read.
    """
    return archive_digest(task, path) or file_digest(path)


def archive_digest(task: Task, path: Path) -> str | None:
    """Return the sha256 of the video archive of a log; None if the task reads none of its videos.

    Raises:
        OSError: the log or a video cannot be read.
    """
    videos = _videos(task, path)
    sha256 = hashlib.sha256()
    if not videos:
        return None
    for block in write_blocks(path, videos):
        sha256.update(block)
    return sha256.hexdigest()


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
