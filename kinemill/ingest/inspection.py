"""Inspection: find recordings and show how logs are read, without writing into the home."""

from pathlib import Path

from kinemill.catalog import RecordingSet
from kinemill.errors import BadInput
from kinemill.ingest import membership
from kinemill.ingest.decisions import current_decisions
from kinemill.ingest.edited_log import edits_of
from kinemill.ingest.index import load_index
from kinemill.ingest.log_digest import log_digest
from kinemill.ingest.membership import Member, members
from kinemill.ingest.recording_summary import RecordingSummary
from kinemill.ingest.recordings import STAGE, Recording, read_into, recording_inputs
from kinemill.registry import nearest
from kinemill.store import Artifact, ArtifactRef, digest, peek
from kinemill.store.home import Home
from kinemill.store.json_io import valid_text
from kinemill.task import Task

SHORTEST = 6  # characters of a hash that identify a recording


def find_member(task: Task, home: Home, which: str) -> Member:
    """Return the recording of a task that `which` identifies.

    `which` is the name at first ingest or its last part, the content hash or its beginning, or the
    id of an episode.

    Raises:
        BadInput: no recording matches, or several do.
    """
    matches = _by_hash(task, home, which) or _by_name(task, home, which)
    if len(matches) == 1:
        member = membership.find_member(home, task.name, matches[0])
        if member:
            return member
    if not matches:
        names = [member.name for member in members(home, task.name).values()]
        fix = nearest(which, names) if names else f"kinemill data ingest {task.name} reads logs"
        raise BadInput(which, f"is no recording of {task.name}", fix=fix)
    raise BadInput(
        which,
        f"names {len(matches)} recordings",
        expected="one",
        fix=f"name it by its hash: {', '.join(hash_[:16] for hash_ in matches[:8])}",
    )


def _by_hash(task: Task, home: Home, which: str) -> list[str]:
    """Return the content hashes with this beginning, or of the episode with this id."""
    # The id of an episode starts with the first 16 characters of its recording's hash.
    start = which.rpartition("-")[0] if which[16:17] == "-" else which
    if len(start) < SHORTEST or set(start) - set("0123456789abcdef"):
        return []
    return membership.begin_with(home, task.name, start)


def _by_name(task: Task, home: Home, which: str) -> list[str]:
    """Return the hashes of recordings by their name at first ingest, or its last part.

    The catalog is asked for the full name first; all members are read only for other names.
    """
    which = valid_text(which)
    head = load_index(home, task.name)
    if head:
        entries = RecordingSet(home, task.name, head.change).named(which)
        if entries:
            return [entry.hash for entry in entries]
    last = Path(which).name
    exact = list[str]()
    close = list[str]()
    for member in members(home, task.name).values():
        if member.name == which:
            exact.append(member.hash)
        elif Path(member.name).name == last:
            close.append(member.hash)
    return exact or close


def read_before(task: Task, home: Home, member: Member) -> Artifact | None:
    """Return the recording as read by the task's present rules, or None if it was not."""
    inputs = recording_inputs(task, member, edits_of(home, task.name, member.hash))
    return peek(home, STAGE, task.name, digest(inputs))


def as_recording(home: Home, member: Member, artifact: Artifact, *, released: bool) -> Recording:
    """Return a recording of a known artifact, without checking its bytes."""
    folder = home.root / artifact.ref.path
    summary = RecordingSummary.of(artifact)
    return Recording(member.hash, member.name, artifact.ref, folder, summary, released)


def read_aside(task: Task, home: Home, path: Path, folder: Path) -> Recording:
    """Read a log into `folder`, a scratch folder outside of the home, exactly as ingest would.

    A log with known bytes keeps its name at first ingest, its decisions and its edits.
    """
    hash_ = log_digest(task, path)
    fresh = membership.new_member(hash_, valid_text(path.name), path.stat().st_size)
    member = membership.find_member(home, task.name, hash_) or fresh
    decision = current_decisions(home, task.name).get(hash_)
    released = decision is not None and decision.decision == "release"
    summary = read_into(task, member, path, folder, edits_of(home, task.name, hash_))
    return Recording(hash_, member.name, ArtifactRef("", ""), folder, summary, released)
