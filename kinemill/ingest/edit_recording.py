"""Edit recordings: check that an edit fits its logs, record it, list and withdraw edits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kinemill.errors import BadInput
from kinemill.ingest.decisions import current_decisions
from kinemill.ingest.edited_log import LogEdits, edits_of, read_edited, resolve
from kinemill.ingest.edits import EDITS, Edit, EditChange, current_edits, merges
from kinemill.ingest.membership import Member, find_member, keep_raw
from kinemill.ingest.raw import Unreadable
from kinemill.ingest.recordings import read_logs
from kinemill.ingest.tracks import make_tracks
from kinemill.store.home import Home
from kinemill.store.locks import current_user, lock, now
from kinemill.task import Task


def edit(
    task: Task, home: Home, members: Sequence[Member], change: EditChange, because: str = ""
) -> Edit:
    """Edit recordings until the edit is undone. The next ingest reads them with it.

    The stored bytes of each recording are read first, so that an edit that does not fit any of them
    changes nothing.

    Raises:
        BadInput: The edit does not fit a recording, or there is no recording.
        CorruptArtifact: The stored bytes of a recording are damaged.
    """
    if not members:
        fix = "list them with kinemill data search"
        raise BadInput("edit", "no recording is selected", expected="at least one", fix=fix)
    with lock(home, f"ingest-{task.name}"):
        EDITS.fetch(home, task.name)
        if change.kind == "merge":
            _check_merge(task, home, members, change)
        new = Edit(0, [], change, "", "")
        for member in members:
            current = current_edits(home, task.name).get(member.hash, ())
            _check_fits(task, home, member, resolve(home, task.name, [*current, new]))
        hashes = [member.hash for member in members]
        act = replace(new, recordings=hashes, who=current_user(), when=now(), because=because)
        return EDITS.append(home, task.name, lambda: act)


def undo(
    task: Task, home: Home, members: Sequence[Member], number: int | None = None, because: str = ""
) -> list[Edit]:
    """Withdraw an edit of recordings. The next ingest finds what was read before it.

    Without `number`, the last edit of each recording is withdrawn.

    Raises:
        BadInput: A recording has no such edit.
    """
    with lock(home, f"ingest-{task.name}"):
        EDITS.fetch(home, task.name)
        withdrawn = dict[int, list[str]]()
        for member in members:
            current = current_edits(home, task.name).get(member.hash, ())
            numbers = [edit.number for edit in current if number in {None, edit.number}]
            if not numbers:
                which = "an edit" if number is None else f"the edit {number}"
                listed = ", ".join(str(edit.number) for edit in current) or "none"
                fix = f"kinemill data edits {task.name} lists all edits"
                problem = f"does not have {which}"
                raise BadInput(member.name, problem, expected=f"one of: {listed}", fix=fix)
            withdrawn.setdefault(numbers[-1], []).append(member.hash)
        who = current_user()
        when = now()
        acts = [Edit(0, h, None, who, when, because, number) for number, h in withdrawn.items()]
        return [EDITS.append(home, task.name, lambda act=act: act) for act in acts]


@dataclass(frozen=True)
class EditRow:
    """One edit of one recording.

    Attributes:
        recording: content hash.
        name: of the recording; its content hash if it was forgotten.
        kind: kind of the change.
        edit: the change in words.
        who: a user.
        when: ISO 8601, UTC.
        because: reason; may be empty.
        undone: when it was withdrawn; None: it holds.
    """

    number: int
    recording: str
    name: str
    kind: str
    edit: str
    who: str
    when: str
    because: str
    undone: str | None


def edit_rows(task: Task, home: Home, recording: str | None = None) -> list[EditRow]:
    """Return every edit of a task's recordings, or of one, oldest first."""
    acts = EDITS.read(home, task.name)
    names = dict[str, str]()
    undone = {(act.undoes, hash_): act.when for act in acts for hash_ in act.recordings}
    rows = list[EditRow]()
    for act in acts:
        if act.change is None:
            continue
        for hash_ in act.recordings:
            if recording not in {None, hash_}:
                continue
            if hash_ not in names:
                member = find_member(home, task.name, hash_)
                names[hash_] = member.name if member else hash_
            about = (act.number, hash_, names[hash_], act.change.kind, act.change.spell())
            when = undone.get((act.number, hash_))
            rows.append(EditRow(*about, act.who, act.when, act.because, when))
    return rows


def _check_merge(task: Task, home: Home, members: Sequence[Member], change: EditChange) -> None:
    """Check that each of two recordings is one of its own.

    Raises:
        BadInput: One of them is merged already, or excluded by a decision, or they are the same.
    """
    (name,) = {member.name for member in members[:1]}
    fix = f"kinemill data edits {task.name} lists the edits"
    if len(members) > 1 or members[0].hash == change.merged:
        problem = "would continue with itself" if len(members) == 1 else "is one of several"
        raise BadInput(name, problem, expected="a merge of two recordings", fix="name two of them")
    decisions = current_decisions(home, task.name)
    for hash_, label in ((members[0].hash, name), (change.merged, change.merged_name)):
        if (made := decisions.get(hash_)) and made.bars:
            item = made.reason(task.name)
            expected = "a recording that is used"
            raise BadInput(label, f"is {item['found']}", expected=expected, fix=item["fix"])
    if any(base == change.merged for base, _ in merges(home, task.name).values()):
        problem = "continues with another recording already"
        fix = f"merge that one after this one: {fix}"
        raise BadInput(change.merged_name, problem, expected="a recording without merges", fix=fix)


def _check_fits(task: Task, home: Home, member: Member, edits: LogEdits) -> None:
    """Read a recording with its edits, without storing anything."""
    raw, moves = keep_raw(home, member, None)
    del moves  # the bytes are stored already
    edits.fetch(home)
    try:
        logs = read_edited(task, raw, edits, read_logs)
    except Unreadable as error:
        item = error.reasons[0]
        raise BadInput(
            member.name, str(item["found"]), expected=item["expected"], fix=item["fix"]
        ) from error
    if any(make_tracks(log, task).frames for log in logs):
        return
    unedited = read_edited(task, raw, edits_of(home, task.name, member.hash), read_logs)
    if any(make_tracks(log, task).frames for log in unedited):
        fix = f"kinemill data quarantine reject {task.name} {member.hash[:16]} excludes all of it"
        problem = f"nothing is left of it: {edits.changes[-1].spell()}"
        raise BadInput(member.name, problem, expected="rows to learn from", fix=fix)
