"""Quarantine decisions: release, reject and withdraw recordings, with their reasons."""

from kinemill.errors import BadInput
from kinemill.ingest.decisions import Decision, Kind, current_decisions, decide
from kinemill.ingest.inspection import find_member
from kinemill.ingest.membership import Member
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate.recording_status import status_of


def release(task: Task, home: Home, which: str, because: str = "") -> Decision:
    """Let a recording through: what the checks find in it does not count from now on.

    Raises:
        BadInput: no such recording, or nothing of it could be read, so there is nothing to let
            through.
    """
    member = find_member(task, home, which)
    read = status_of(task, home, member, None).read
    if read is not None and not read["tracks"]:
        first = read["reasons"][0]
        raise BadInput(
            member.name,
            f"nothing of it could be read ({first['check']}: {first['found']})",
            expected="a recording that a check holds back",
            fix=str(first["fix"]),
        )
    return _decide(task, home, member, "release", because)


def reject(task: Task, home: Home, which: str, because: str = "") -> Decision:
    """Never take a recording; its bytes are kept.

    Raises:
        BadInput: no such recording.
    """
    return _decide(task, home, find_member(task, home, which), "reject", because)


def withdraw(task: Task, home: Home, which: str, because: str = "") -> Decision:
    """Take back the decision about a recording.

    Raises:
        BadInput: no such recording, or nothing was decided about it.
    """
    member = find_member(task, home, which)
    if member.hash not in current_decisions(home, task.name):
        raise BadInput(member.name, "nothing was decided about it", fix="there is nothing to undo")
    return decide(home, task.name, (member.hash, member.name), "withdraw", because)


def _decide(task: Task, home: Home, member: Member, decision: Kind, because: str) -> Decision:
    earlier = current_decisions(home, task.name).get(member.hash)
    if earlier and earlier.decision == decision:
        raise BadInput(
            member.name, f"{decision} was decided by {earlier.who} on {earlier.when} already"
        )
    return decide(home, task.name, (member.hash, member.name), decision, because)
