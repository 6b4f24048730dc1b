"""Status of each recording of a task: ingest, validation, and manual decisions.

Recordings that were not processed under the current rules are reported as such.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from kinemill.catalog import evaluations
from kinemill.catalog.evaluations import EpisodeRow, Evaluation
from kinemill.errors import BadInput
from kinemill.ingest import inspection
from kinemill.ingest.decisions import Decision, current_decisions, decide
from kinemill.ingest.inspection import as_recording, read_before
from kinemill.ingest.membership import Member, find_member, members
from kinemill.ingest.raw import Reason
from kinemill.ingest.recording_summary import RecordingSummary
from kinemill.store import Home, Json, digest, peek
from kinemill.task import Task
from kinemill.validate.episodes import STAGE, RecordingResult, rules, validated_inputs
from kinemill.validate.published import is_current
from kinemill.validate.results import Results

NOT_VALIDATED = "not validated"


@dataclass(frozen=True)
class RecordingStatus:
    """One recording: its ingest summary and its validation result, if they exist."""

    member: Member
    decision: Decision | None
    read: RecordingSummary | None
    result: RecordingResult | None

    @property
    def status(self) -> str:
        """The status in one word."""
        if self.decision and self.decision.bars:
            return self.decision.status
        if self.read is None or (self.read.tracks and self.result is None):
            return NOT_VALIDATED
        if self.decision:
            return "released"
        if not self.episodes:
            return "quarantined"
        lost = self.read.dropped_rows + (self.result.dropped_rows if self.result else 0)
        return "partly" if lost else "accepted"

    @property
    def episodes(self) -> list[EpisodeRow]:
        """Accepted episodes; empty for a recording that a decision excludes."""
        if self.result is None or (self.decision and self.decision.bars):
            return []
        return self.result.episodes

    @property
    def reasons(self) -> list[Reason]:
        """Findings of ingest and validation."""
        validation = self.result.reasons if self.result else []
        return [*(self.read.reasons if self.read else []), *validation]

    def to_json(self) -> Json:
        """Return the status as a JSON object."""
        return {
            "recording": self.member.hash,
            "name": self.member.name,
            "status": self.status,
            "episodes": len(self.episodes),
            "rows": sum(episode.rows for episode in self.episodes),
            "reasons": self.reasons,
            "decision": vars(self.decision) if self.decision else None,
        }


def recording_statuses(
    task: Task, home: Home, offset: int = 0, limit: int | None = None
) -> tuple[int, Iterator[RecordingStatus]]:
    """Return the number of recordings of a task, and the statuses of a page of them.

    They are sorted by name, forgotten ones last. Only the recordings of the page are read.
    """
    decisions = current_decisions(home, task.name)
    present = members(home, task.name)
    listed = sorted(present.values(), key=lambda item: (item.name, item.hash))
    forgotten = [made for hash_, made in decisions.items() if hash_ not in present]
    page: list[Member | Decision] = [*listed, *forgotten][offset:][:limit]
    return len(listed) + len(forgotten), (
        status_of(task, home, item, decisions.get(item.hash))
        if isinstance(item, Member)
        else _forgotten(item)
        for item in page
    )


def _forgotten(decision: Decision) -> RecordingStatus:
    return RecordingStatus(Member(decision.recording, decision.name, 0, ""), decision, None, None)


@dataclass(frozen=True)
class HeldBackPage:
    """A page of the recordings that are not accepted as a whole.

    Attributes:
        total: number of such recordings on all pages.
        pending: number of recordings without findings that are not validated yet.
    """

    total: int
    recordings: list[RecordingStatus]
    pending: int = 0


def held_back(task: Task, home: Home, offset: int = 0, limit: int | None = None) -> HeldBackPage:
    """Return recordings that are not accepted as a whole, or that have a manual decision.

    Those with a decision come first, then the others by content hash; a page is sorted by name.
    If the last validation is up to date, only the recordings of the page are read.
    """
    if not is_current(task, home):
        _, statuses = recording_statuses(task, home)
        unaccepted = [item for item in statuses if item.status != "accepted"]
        incomplete = [item for item in unaccepted if item.status != NOT_VALIDATED or item.reasons]
        return HeldBackPage(
            len(incomplete),
            _by_name(incomplete[offset:][:limit]),
            len(unaccepted) - len(incomplete),
        )
    decisions = current_decisions(home, task.name)
    special = [_decided_on(task, home, made) for made in decisions.values()]
    listed = special[offset:][:limit]
    skipped = max(0, offset - len(special))
    room = None if limit is None else limit - len(listed)
    omitted, rows = evaluations.held_back(home, task.name, decisions, skipped, room)
    listed += [_undecided(task, home, row) for row in rows]
    total = len(special) + Results(task, home).totals["held_back"] - omitted
    return HeldBackPage(total, _by_name(listed))


def _by_name(statuses: list[RecordingStatus]) -> list[RecordingStatus]:
    return sorted(statuses, key=lambda item: (item.member.name, item.member.hash))


def _decided_on(task: Task, home: Home, decision: Decision) -> RecordingStatus:
    member = find_member(home, task.name, decision.recording)
    if member is None:
        return _forgotten(decision)
    return status_of(task, home, member, decision)


def _undecided(task: Task, home: Home, row: Evaluation) -> RecordingStatus:
    named = Member(row.hash, row.name, 0, "")
    return status_of(task, home, find_member(home, task.name, named.hash) or named, None)


def status_of(task: Task, home: Home, member: Member, decision: Decision | None) -> RecordingStatus:
    """Return the status of one recording under the current rules of the task."""
    read = read_before(task, home, member)
    result = None
    if read and RecordingSummary.of(read).tracks:
        released = decision is not None and decision.decision == "release"
        recording = as_recording(home, member, read, released=released)
        key = digest(validated_inputs(recording, rules(task)))
        artifact = peek(home, STAGE, task.name, key)
        result = RecordingResult.of(artifact) if artifact else None
    return RecordingStatus(member, decision, RecordingSummary.of(read) if read else None, result)


def decide_quarantine(
    task: Task,
    home: Home,
    decision: Literal["release", "reject", "undo"],
    which: str,
    because: str = "",
) -> Decision:
    """Release a recording from quarantine, reject it, or withdraw the decision.

    The findings of the checks drop no row of a released recording. No dataset uses a rejected one;
    its bytes are kept.

    Raises:
        BadInput: There is no such recording, or the decision does not apply to it.
    """
    member = inspection.find_member(task, home, which)
    earlier = current_decisions(home, task.name).get(member.hash)
    if earlier:
        earlier.require_not_merged(task.name)
    if decision == "undo":
        if earlier is None:
            raise BadInput(member.name, "has no decision", fix="there is nothing to undo")
        return decide(home, task.name, member.hash, member.name, "withdraw", because)
    if earlier and earlier.decision == decision:
        raise BadInput(
            member.name,
            f"has this decision already: {decision}, by {earlier.who} on {earlier.when}",
        )
    read = status_of(task, home, member, None).read if decision == "release" else None
    if read is not None and not read.tracks:
        first = read.reasons[0]
        raise BadInput(
            member.name,
            f"cannot be read ({first['check']}: {first['found']})",
            expected="a recording that a check holds back",
            fix=str(first["fix"]),
        )
    return decide(home, task.name, member.hash, member.name, decision, because)
