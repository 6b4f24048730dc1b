"""Backfill: ingest and validate a range of recordings again by the current rules.

Results are published one by one, without a snapshot. After a change of rules, a large task can
be processed in ranges, one after the other or on several machines. The next run then finds all
results cached.
"""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial

from kinemill.errors import BadInput
from kinemill.ingest import Recording
from kinemill.ingest.decisions import current_decisions
from kinemill.ingest.inspection import as_recording
from kinemill.ingest.membership import Member, members
from kinemill.ingest.recording import read_stored
from kinemill.parallel import in_groups
from kinemill.store import Home, Json, Staged, publish_staged
from kinemill.task import NullReporter, Progress, Task
from kinemill.validate.episodes import rules
from kinemill.validate.evaluation import evaluate_recording

BATCH = 4096  # recordings whose results are in memory


@dataclass(frozen=True)
class BackfillReport:
    """Counts of a backfill.

    Attributes:
        recordings: number of recordings in the range.
        read: number of recordings that were ingested again.
        evaluated: number of recordings that were validated again.
    """

    task: str
    recordings: int
    read: int
    evaluated: int


@dataclass(frozen=True)
class Range:
    """A range of recordings by their first names, in character order, both ends included."""

    match: list[str] = field(default_factory=lambda: ["*"])
    first: str | None = None
    last: str | None = None

    def holds(self, member: Member) -> bool:
        """Return whether a recording is in the range."""
        name = member.name
        inside = (self.first or name) <= name <= (self.last or name)
        return inside and any(fnmatchcase(name, pattern) for pattern in self.match)


def backfill(
    task: Task, home: Home, selection: Range, progress: Progress | None = None
) -> BackfillReport:
    """Process a range of recordings by the current rules of the task.

    Raises:
        BadInput: No recording is in the range.
    """
    barred = {hash_ for hash_, made in current_decisions(home, task.name).items() if made.bars}
    selected = [
        member
        for hash_, member in sorted(members(home, task.name).items())
        if hash_ not in barred and task.ingest.wants(member.name) and selection.holds(member)
    ]
    if not selected:
        raise BadInput(
            f"{selection.first or ''}..{selection.last or ''} {' '.join(selection.match)}",
            f"names no recording of {task.name}",
            fix=f"list the names: kinemill data list {task.name}",
        )
    read = evaluated = 0
    for first in range(0, len(selected), BATCH):
        batch = _evaluate(task, home, selected[first : first + BATCH], progress or NullReporter())
        read = read + batch[0]
        evaluated = evaluated + batch[1]
    return BackfillReport(task.name, len(selected), read, evaluated)


def _evaluate(
    task: Task, home: Home, selected: list[Member], progress: Progress
) -> tuple[int, int]:
    """Process some recordings; return how many were ingested and validated again."""
    decisions = current_decisions(home, task.name)
    recordings = list[Recording]()
    reads = list(read_stored(task, home, selected, progress))
    for member, artifact in reads:
        made = decisions.get(member.hash)
        released = made is not None and made.decision == "release"
        recordings.append(as_recording(home, member, artifact, released=released))
    evaluated = 0
    row = 8 * len(task.columns)  # bytes
    work = partial(_evaluate_recording, task, home, rules(task))
    for _, group in in_groups(work, recordings, lambda recording: row * recording.summary.rows):
        staged = [recording for recording in group if recording]
        publish_staged(home, staged)
        evaluated += len(staged)
    return sum(not artifact.cached for _, artifact in reads), evaluated


def _evaluate_recording(
    task: Task, home: Home, task_rules: Json, recording: Recording
) -> Staged | None:
    return evaluate_recording(task, home, recording, task_rules).staged
