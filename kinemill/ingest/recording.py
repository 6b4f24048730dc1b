"""Recording: read logs, stage their artifacts, and publish them in groups."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from kinemill.catalog.renewals import note_renewals
from kinemill.ingest.edited_log import edits_of
from kinemill.ingest.log_digest import copy_log
from kinemill.ingest.membership import Member, Moved, is_member, keep_raw, stage_entry
from kinemill.ingest.metadata import describe
from kinemill.ingest.recordings import STAGE, read_into, recording_inputs
from kinemill.parallel import in_groups
from kinemill.store import Artifact, Json, Staged, publish_staged, stage_artifact, to_json_value
from kinemill.store.atomic_write import Move
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.protocols import Progress

Job = tuple[Task, Home, Member, Path | None]  # the last: a file with the bytes of the recording


@dataclass(frozen=True)
class _Read:
    """A recording that was read: its artifact and moves to publish, or why it could not be read."""

    member: Member
    why: str = ""
    artifact: Artifact | Staged | None = None
    raw: list[Move] = field(default_factory=list[Move])
    entry: list[Move] = field(default_factory=list[Move])
    is_renewed: bool = False  # the entry replaces one


def _read_aside(job: Job) -> _Read:
    """Read one recording, and stage its entry and the artifacts that are missing."""
    task, home, member, source = job
    moves: list[Move] = []
    edits = edits_of(home, task.name, member.hash)

    def build(folder: Path) -> Json:
        raw, moved = keep_raw(home, member, source, partial(copy_log, task))
        moves.extend(moved)
        edits.fetch(home)
        return to_json_value(read_into(task, member, raw, folder, edits))

    try:
        inputs = recording_inputs(task, member, edits)
        artifact = stage_artifact(home, STAGE, task.name, inputs, build)
        described = describe(task, member, source)
        anew = described is not member
        is_renewed = anew and is_member(home, task.name, member.hash)
        entry = stage_entry(home, task.name, described, anew=anew)
    except Moved as error:
        return _Read(member, error.problem)
    except BaseException:
        _discard(moves)
        raise
    return _Read(member, "", artifact, moves, entry, is_renewed)


def record(
    jobs: list[Job],
    progress: Progress,
    *,
    first: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Member, Artifact | str]]:
    """Publish recordings and enter them as members, in groups.

    A file that could not be read yields the reason in place of an artifact. `first`
    runs in parallel to reading, before anything is published.
    """
    with ThreadPoolExecutor(1) as executor:
        done_first = executor.submit(first)
        yield from _record(jobs, progress, done_first)
        done_first.result()


def _record(
    jobs: list[Job], progress: Progress, first: Future[None]
) -> Iterator[tuple[Member, Artifact | str]]:
    done = 0
    for group, results in in_groups(_read_aside, jobs, _bytes_of):
        read = list[_Read]()
        try:
            for result in results:
                read.append(result)
                progress.advance("ingest", done := done + 1, len(jobs), result.member.name)
            first.result()
            staged = [result.artifact for result in read if isinstance(result.artifact, Staged)]
            raw = [move for result in read for move in result.raw]
            entries = [move for result in read for move in result.entry]
            renewed = {result.member.hash for result in read if result.is_renewed}
            task, home, _, _ = group[0]
            note_renewals(home, task.name, renewed)
            published = iter(publish_staged(home, staged, raw, entries))
            note_renewals(home, task.name, renewed)
        finally:
            _discard(move for result in read for move in (*result.raw, *result.entry))
            for recording_result in read:
                if isinstance(recording_result.artifact, Staged):
                    recording_result.artifact.discard()
        for recording_result in read:
            if isinstance(recording_result.artifact, Staged):
                yield recording_result.member, next(published)
            else:
                yield recording_result.member, recording_result.artifact or recording_result.why


def _bytes_of(job: Job) -> int:
    return job[2].bytes


def _discard(moves: Iterable[Move]) -> None:
    for move in moves:
        move.aside.unlink(missing_ok=True)
