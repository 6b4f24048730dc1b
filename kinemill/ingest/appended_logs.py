"""Appended logs: a longer file of the same name supersedes the recording that it begins with.

A logger that pauses longer than `ingest.min_file_age` and then appends leaves two contents under
one name. Both would be recordings that share their first rows. A decision then excludes the
shorter one from the snapshot; a user can withdraw it, and the raw bytes are kept. Only a digest of
the first bytes of the new file is compared, so any format that grows at its end is supported. A log
whose videos were replaced, added or not read before supersedes its recording likewise.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from kinemill.ingest.decisions import Decision, decide
from kinemill.ingest.file_stat import stat_of
from kinemill.ingest.membership import Member, find_member, raw_path
from kinemill.ingest.raw import Unreadable
from kinemill.ingest.readers._lerobot_videos import uses_videos
from kinemill.ingest.readers._video_archive import table_digest
from kinemill.store import file_digest
from kinemill.store.home import Home
from kinemill.task import Task

_CHUNK = 1 << 20


def supersede(
    task: Task,
    home: Home,
    path: Path,
    hash_: str,
    previous_hash: str | None,
    decisions: Mapping[str, Decision],
) -> Decision | None:
    """Exclude the recording that a file was before it grew.

    Call this when the new content is recorded and has tracks, so that no rows are lost meanwhile.

    Args:
        task: task of the recordings.
        home: holds memberships and decisions.
        path: the file as it is now.
        hash_: its content hash.
        previous_hash: content hash read under the same name before; None if there was none.
        decisions: current decisions; a manual decision about the old recording is kept.

    Returns:
        the decision; None if there is nothing to exclude, or it is excluded already.
    """
    member = find_grown(task, home, path, hash_, previous_hash, decisions)
    if member is None:
        return None
    because = f"continues in {hash_[:16]}, which begins with its {member.bytes} bytes"
    if uses_videos(task, path):
        because = f"has the same rows as {hash_[:16]}, whose videos are newer"
    return decide(home, task.name, member.hash, member.name, "supersede", because)


def find_grown(
    task: Task,
    home: Home,
    path: Path,
    hash_: str,
    previous_hash: str | None,
    decisions: Mapping[str, Decision],
) -> Member | None:
    """Return the recording that a file was before it grew; None if it is another log, or kept.

    A log whose videos changed grew as well, if its rows are the same.
    """
    if previous_hash is None or previous_hash == hash_ or previous_hash in decisions:
        return None
    member = find_member(home, task.name, previous_hash)
    now = stat_of(path)
    if member is None or now is None:
        return None
    if uses_videos(task, path):
        return member if _has_same_rows(raw_path(home, member), path) else None
    if not 0 < member.bytes < now.st_size:
        return None
    return member if _begins_with(path, member.bytes, previous_hash) else None


def _has_same_rows(raw: Path, path: Path) -> bool:
    """Return whether a stored log is a Parquet file with older videos; False if it is missing."""
    try:
        return (table_digest(raw) or file_digest(raw)) == file_digest(path)
    except (OSError, Unreadable):
        return False


def _begins_with(path: Path, count: int, hash_: str) -> bool:
    """Return whether the first `count` bytes of a file have this sha256; False if it is missing."""
    hasher = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while count > 0 and (chunk := file.read(min(count, _CHUNK))):
                hasher.update(chunk)
                count -= len(chunk)
    except OSError:
        return False
    return hasher.hexdigest() == hash_
