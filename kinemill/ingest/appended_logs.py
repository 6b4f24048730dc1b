"""A log that went on after it was read: the longer recording takes the shorter one's place.

A logger that pauses longer than `ingest.min_file_age` and then appends leaves two contents under
one name, the first of which the second begins with, byte for byte. Both would be recordings that
share their first rows. The first is then left out of the snapshot by a decision that says so and
that a person can take back; its raw bytes stay. Nothing is compared but a digest of the new file's
first bytes, so any format whose files grow at their end is served.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from kinemill.ingest.decisions import Decision, decide
from kinemill.ingest.file_stat import stat_of
from kinemill.ingest.membership import find_member
from kinemill.store.home import Home
from kinemill.task import Task

_CHUNK = 1 << 20


def supersede(
    task: Task,
    home: Home,
    grown: tuple[Path, str],
    previous_hash: str | None,
    decisions: Mapping[str, Decision],
) -> Decision | None:
    """Leave out the recording that a file was before it grew.

    To be asked once the new content is recorded and has tracks, so that nothing is lost meanwhile.

    Args:
        task: whose recordings they are.
        home: where memberships and decisions are kept.
        grown: the file as it is now, and its content hash.
        previous_hash: content hash that was read under the same name before; None: none was.
        decisions: those that count; a person's decision about the old recording stands.

    Returns:
        the decision; None if there is nothing to leave out, or it is left out already.
    """
    path, hash_ = grown
    if previous_hash is None or previous_hash == hash_ or previous_hash in decisions:
        return None
    member = find_member(home, task.name, previous_hash)
    now = stat_of(path)
    if member is None or now is None or not 0 < member.bytes < now.st_size:
        return None
    if not _begins_with(path, member.bytes, previous_hash):
        return None
    because = f"goes on in {hash_[:16]}, which begins with its {member.bytes} bytes"
    return decide(home, task.name, (previous_hash, member.name), "supersede", because)


def _begins_with(path: Path, count: int, hash_: str) -> bool:
    """Return whether the first `count` bytes of a file have this sha256; False if it is gone."""
    hasher = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while count > 0 and (chunk := file.read(min(count, _CHUNK))):
                hasher.update(chunk)
                count -= len(chunk)
    except OSError:
        return False
    return hasher.hexdigest() == hash_
