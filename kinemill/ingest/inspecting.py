"""Looking without touching: which recordings there are, how they were read, how a log would be.

Nothing here writes into the home.
"""

from pathlib import Path

from kinemill.errors import BadInput
from kinemill.home import Home
from kinemill.ingest import membership
from kinemill.ingest.decisions import decided
from kinemill.ingest.membership import Member, members
from kinemill.ingest.recordings import STAGE, Recording, read_into, recording_inputs
from kinemill.registry import nearest
from kinemill.spec import Task
from kinemill.store import Outcome, Ref, digest, file_digest, peek

SHORTEST = 6  # characters of a hash that name a recording


def find_member(task: Task, home: Home, which: str) -> Member:
    """Return the recording of a task that `which` names.

    Args:
        task: whose recordings are searched.
        home: where they are kept.
        which: name at first sight, or its last part; content hash or its beginning; or the id of
            one of its episodes.

    Raises:
        BadInput: none has this name, or several.
    """
    known = members(home, task.name)
    found = _named(known, which)
    if len(found) == 1:
        return known[found[0]]
    names = [member.name for member in known.values()]
    if not found:
        fix = nearest(which, names) if names else f"kinemill ingest {task.name} reads logs"
        raise BadInput(which, f"is no recording of {task.name}", fix=fix)
    raise BadInput(
        which,
        f"names {len(found)} recordings",
        expected="one",
        fix=f"name it by its hash: {', '.join(hash_[:16] for hash_ in found[:8])}",
    )


def _named(known: dict[str, Member], which: str) -> list[str]:
    """Return the hashes that fit, by the best kind of name that fits at all."""
    exact = [hash_ for hash_, member in known.items() if member.name == which]
    if exact:
        return exact
    if len(which) >= SHORTEST:
        # An episode is called after the first 16 characters of its recording's hash.
        start = which.rpartition("-")[0] if which[16:17] == "-" else which
        if by_hash := [hash_ for hash_ in known if hash_.startswith(start)]:
            return by_hash
    return [hash_ for hash_, member in known.items() if Path(member.name).name == Path(which).name]


def read_before(task: Task, home: Home, member: Member) -> Outcome | None:
    """Return how a recording was read under the task's present rules, or None if it was not."""
    return peek(home, STAGE, task.name, digest(recording_inputs(task, member)))


def as_recording(home: Home, member: Member, outcome: Outcome, *, released: bool) -> Recording:
    """Return a recording whose outcome is known, without checking its bytes."""
    folder = home.root / outcome.ref.path
    return Recording(member.hash, member.name, outcome.ref, folder, outcome.summary, released)


def read_aside(task: Task, home: Home, path: Path, folder: Path) -> Recording:
    """Read a log into `folder`, a scratch folder outside the home, exactly as ingest would.

    A log whose bytes are known keeps its name at first sight and what was decided about it.
    """
    hash_ = file_digest(path)
    fresh = Member(hash_, path.name, path.stat().st_size, path.suffix.lower())
    member = membership.find_member(home, task.name, hash_) or fresh
    decision = decided(home, task.name).get(hash_)
    released = decision is not None and decision.decision == "release"
    summary = read_into(task, member, path, folder)
    return Recording(hash_, member.name, Ref("", ""), folder, summary, released)
