"""Quarantine decisions: release, reject and withdraw recordings, with their reasons."""

from kinemill.errors import BadInput
from kinemill.ingest.decisions import Decision, Kind, current_decisions, decide
from kinemill.ingest.inspection import find_member
from kinemill.ingest.membership import Member
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate.recording_status import status_of


def release(task: Task, home: Home, which: str, because: str = "") -> Decision:
    """Release a recording: from now on the findings of the checks drop none of its rows.

    Raises:
        BadInput: The recording does not exist, or nothing of it could be read.
    """
    member = find_member(task, home, which)
    read = status_of(task, home, member, None).read
    if read is not None and not read.tracks:
        first = read.reasons[0]
        raise BadInput(
            member.name,
            f"cannot be read ({first['check']}: {first['found']})",
            expected="a recording that a check holds back",
            fix=str(first["fix"]),
        )
    return _decide(task, home, member, "release", because)


def reject(task: Task, home: Home, which: str, because: str = "") -> Decision:
    """Reject a recording: no dataset uses it; its bytes are kept.

    Raises:
        BadInput: The recording does not exist.
    """
    return _decide(task, home, find_member(task, home, which), "reject", because)


def withdraw(task: Task, home: Home, which: str, because: str = "") -> Decision:
    """Withdraw the decision on a recording.

    Raises:
        BadInput: The recording does not exist, or has no decision.
    """
    member = find_member(task, home, which)
    made = current_decisions(home, task.name).get(member.hash)
    if made is None:
        raise BadInput(member.name, "has no decision", fix="there is nothing to undo")
    made.require_not_merged(task.name)
    return decide(home, task.name, member.hash, member.name, "withdraw", because)


def _decide(task: Task, home: Home, member: Member, decision: Kind, because: str) -> Decision:
    earlier = current_decisions(home, task.name).get(member.hash)
    if earlier:
        earlier.require_not_merged(task.name)
    if earlier and earlier.decision == decision:
        raise BadInput(
            member.name,
            f"has this decision already: {decision}, by {earlier.who} on {earlier.when}",
        )
    return decide(home, task.name, member.hash, member.name, decision, because)
