"""Ingest stage: from a folder of logs to the snapshot of a task's recordings, with a report.

Only changes since the last ingest are processed: files with a new stat, recordings with a manual
decision, and files of an interrupted ingest. If the ingest rules have changed, or the index is
lost, everything is processed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kinemill.errors import BadInput
from kinemill.ingest import snapshot as snapshots
from kinemill.ingest.appended_logs import supersede
from kinemill.ingest.decisions import Decision, decided, decisions_elsewhere
from kinemill.ingest.file_stat import NOTHING, FileStat, is_file, see, stat_of
from kinemill.ingest.files import (
    Found,
    drop_folder,
    nothing_found,
    readers,
    require_channels,
    scan,
    wait_for_settled,
    why_unread,
)
from kinemill.ingest.hash_copy import copying_ahead
from kinemill.ingest.index import (
    Index,
    end_pending,
    index_aside,
    load_index,
    note_pending,
    pending,
    save_index,
)
from kinemill.ingest.membership import (
    Member,
    find_member,
    first_sights,
    members,
    members_elsewhere,
)
from kinemill.ingest.raw import SHOWN
from kinemill.ingest.recording import Job, record
from kinemill.ingest.recordings import reading_rules
from kinemill.ingest.report import IngestReport, Reporter
from kinemill.ingest.scan_cache import open_book
from kinemill.ingest.snapshot import Snapshot, entry_of
from kinemill.parallel import on_threads
from kinemill.store import (
    Artifact,
    Json,
    digest,
)
from kinemill.store.atomic_write import Move, start_writeback
from kinemill.store.digests import digest_to_copy
from kinemill.store.disk_space import warn
from kinemill.store.fault_injection import fault_point
from kinemill.store.home import Home
from kinemill.store.locks import lock
from kinemill.task import Task
from kinemill.task.protocols import NullReporter, Progress

_FOLD = 4  # times a new log's bytes: as it came, as read, as judged, as packed

Contents = Mapping[FileStat, str]
Familiar = Mapping[FileStat, bytes]


@dataclass(frozen=True)
class _Taken:
    """What an ingest came to: the snapshot, what it entered, and what it could not read and why."""

    outcome: Artifact
    entered: frozenset[str]
    unfinished: Mapping[str, str]


def run(
    task: Task, home: Home, folder: Path | None = None, progress: Progress | None = None
) -> IngestReport:
    """Ingest the logs of a folder, and publish the snapshot of all recordings of the task.

    Args:
        task: says which files are logs and how they are read.
        home: where outcomes, raw bytes and memberships are kept.
        folder: where the logs are, searched recursively, or one log; default: the drop folder.
        progress: called for each file.

    Raises:
        BadInput: no such folder, the task declares no channels, or it has no recording yet and
            none was found.
        CorruptArtifact: a recording's outcome and its raw bytes are both damaged.
    """
    require_channels(task)
    progress = progress or NullReporter()
    # A second ingest blocks here, reports the lock holder, then reads the cached result.
    with lock(home, f"ingest-{task.name}", progress.say):
        return _ingest(task, home, folder, progress)


def _ingest(task: Task, home: Home, folder: Path | None, progress: Progress) -> IngestReport:
    source = folder or drop_folder(task, home)
    _learn_elsewhere(task, home)
    book = open_book(task, home, source)
    looked = scan(task, source, book.files) if folder or stat_of(source) else nothing_found()
    described = _described_anew(task, looked)
    again = [sight for sight in looked.familiar if sight in described] if described else []
    familiar = looked.familiar.without(again)
    warn(home.root, progress.say, _FOLD * sum(sight.size for sight in looked.logs))
    fault_point("ingest.scanned")
    still, moving = wait_for_settled([*looked.logs, *again], task.ingest.settle)
    with copying_ahead(home) as ahead:
        found = on_threads(lambda sight: _hash(sight, ahead(sight)), still)
        read, unread = _split(dict(zip(still, found, strict=True)))
        fault_point("ingest.hashed")
        earlier = {sight: before for sight in read if (before := book.hash_before(sight))}
        decisions = decided(home, task.name)
        taking = _Taking(task, home, decisions, described)
        taken = taking.take(read, familiar, earlier, progress)
    unread |= dict.fromkeys(moving, "changed while it was looked at")
    if taken is None:
        raise _nothing(task, source, unread)
    if not is_file(source):
        finished = {s: bytes.fromhex(h) for s, h in read.items() if h not in taken.unfinished}
        sidecar_entries = dict.fromkeys(looked.sidecars, NOTHING)
        known_sidecars = [sight.name for sight in looked.known_sidecars]
        book.write({**finished, **sidecar_entries}, {*familiar.files, *known_sidecars})
    snapshot = Snapshot(home, taken.outcome.ref)
    teller = Reporter(task, home, snapshot, decisions, taken.entered, taken.unfinished)
    return IngestReport(taken.outcome, looked.ignored, teller, read, unread, familiar)


def _learn_elsewhere(task: Task, home: Home) -> None:
    """Learn of recordings that other machines took, and of what was decided there."""
    decisions_elsewhere(home, task.name)
    members_elsewhere(home, task.name, lambda new: note_pending(home, task.name, new))


def _described_anew(task: Task, looked: Found) -> set[FileStat]:
    """Return the logs beside which there is a new or changed side-car."""
    bases = {
        sight.name[: -len(ending)]
        for sight in looked.sidecars
        for ending in task.ingest.meta.sidecar
        if sight.name.lower().endswith(ending)
    }
    if not bases:
        return set()
    every = (*looked.logs, *looked.familiar)
    return {s for s in every if s.name in bases or s.name.rpartition(".")[0] in bases}


class _Taking:
    """What an ingest goes by: the task, the decisions, and the snapshot from before, if it fits."""

    def __init__(
        self, task: Task, home: Home, decisions: Mapping[str, Decision], described: set[FileStat]
    ) -> None:
        self._task, self._home, self._decisions = task, home, decisions
        self._described = described  # logs of which a side-car says something new
        self._barred = frozenset(hash_ for hash_, made in decisions.items() if made.bars)
        self._released = frozenset(
            hash_ for hash_, made in decisions.items() if made.decision == "release"
        )
        self._rules = digest(reading_rules(task))
        self._pending = pending(home, task.name)
        found = load_index(home, task.name)
        self._before = found if found and found[0].rules == self._rules else None

    def take(
        self, read: Contents, familiar: Familiar, earlier: Contents, progress: Progress
    ) -> _Taken | None:
        """Read what is to be looked into and publish the snapshot; None if there is nothing.

        Args:
            read: content hashes of the files that look different than before.
            familiar: content hashes of all others.
            earlier: what was read under the names of the first before.
            progress: hears of each recording.
        """
        requested = self._requested(read, familiar)
        contents = list(read.items())
        if requested - set(read.values()):
            contents += [(s, h.hex()) for s, h in familiar.items() if h.hex() in requested]
        jobs, entered = self._jobs(requested - self._barred, first_sights(contents))
        changes: dict[str, Json | None] = dict.fromkeys(requested)
        unfinished = dict[str, str]()
        for member, outcome in record(jobs, progress, first=lambda: self._note(entered)):
            if isinstance(outcome, str):
                unfinished[member.hash] = outcome
                continue
            released = member.hash in self._released
            changes[member.hash] = entry_of(member.hash, member.name, outcome, released=released)
        fault_point("ingest.recorded")
        changes |= self._superseded(read, earlier, changes)
        snapshot = self._publish(changes)
        fault_point("ingest.published")
        if snapshot is None:
            return None
        return _Taken(snapshot, frozenset(entered - unfinished.keys()), unfinished)

    def _note(self, entered: set[str]) -> None:
        """Note what is about to be entered, before any of it is."""
        if entered:
            note_pending(self._home, self._task.name, entered)
            fault_point("ingest.noted")

    def _superseded(
        self, read: Contents, earlier: Contents, changes: Mapping[str, Json | None]
    ) -> dict[str, Json | None]:
        """Leave out the recordings of which a file that has grown holds all, and more."""
        gone: dict[str, Json | None] = {}
        for sight, hash_ in read.items():
            entry = changes.get(hash_)
            if entry and entry["tracks"]:
                grown, before = (sight.path, hash_), earlier.get(sight)
                if made := supersede(self._task, self._home, grown, before, self._decisions):
                    gone[made.recording] = None
        self._barred |= set(gone)
        return gone

    def _jobs(
        self, requested: set[str], sources: Mapping[str, tuple[Member, Path]]
    ) -> tuple[list[Job], set[str]]:
        """Return what is to be read, known members and new ones, and the hashes of the new."""
        jobs, entered = list[Job](), set[str]()
        for hash_ in sorted(requested):
            known = find_member(self._home, self._task.name, hash_)
            fresh, path = sources.get(hash_, (None, None))
            member = known or fresh
            if member and self._task.ingest.wants(member.name):
                jobs.append((self._task, self._home, member, path))
                entered |= set[str]() if known else {hash_}
        return jobs, entered

    def _requested(self, read: Contents, familiar: Familiar) -> set[str]:
        """Return the hashes of all recordings that are to be looked into."""
        if self._before is None:
            known = members(self._home, self._task.name)
            return {*read.values(), *(hash_.hex() for hash_ in familiar.values()), *known}
        index, snapshot = self._before
        decided_anew = (index.barred ^ self._barred) | (index.released ^ self._released)
        # Of a file that looks different and is not, only what stands beside it can be new.
        new = {h for s, h in read.items() if s in self._described or snapshot.find(h) is None}
        return {*new, *self._pending, *decided_anew}

    def _publish(self, changes: Mapping[str, Json | None]) -> Artifact | None:
        """Publish the snapshot with these changes, and the index of it."""
        home, task = self._home, self._task.name

        def index_of(outcome: Artifact) -> Index:
            return Index(self._rules, outcome.ref, self._barred, self._released)

        def after(outcome: Artifact) -> list[Move]:
            return [index_aside(home, task, index_of(outcome))]

        if self._before is None:
            entries = [entry for entry in changes.values() if entry]
            outcome = snapshots.publish(home, task, entries, after) if entries else None
        else:
            index, snapshot = self._before
            outcome = snapshots.amend(home, task, snapshot, changes, after)
            if outcome and outcome is snapshot.artifact and index_of(outcome) != index:
                save_index(home, task, index_of(outcome))
        if outcome:
            end_pending(home, task)
        return outcome


def _nothing(task: Task, source: Path, unread: Mapping[FileStat, str]) -> BadInput:
    endings = [suffix for reader in readers(task).values() for suffix in reader.suffixes]
    named = [f"{sight.label} {why}" for sight, why in sorted(unread.items())]
    listing = f": {'; '.join(named[:SHOWN])}" if named else ""
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    return BadInput(
        source,
        f"holds no complete log of the task {task.name!r}{listing}{more}",
        expected=f"files that end in {', '.join(endings)} and match `ingest.include`",
        fix="put logs there, or name a folder with --logs",
    )


_Hashed = tuple[str | None, str]  # sha256 of a file's bytes; None, and why there is none


def _hash(sight: FileStat, ahead: Path | None) -> _Hashed:
    """Return the sha256 of a file's bytes, or why there is none.

    Where it may be written `ahead`, it is copied on the way.
    """
    try:
        found = digest_to_copy(sight.path, ahead)
        if ahead and ahead.exists():
            start_writeback(ahead)
    except OSError as error:
        return None, why_unread(error)
    same = see(sight.folder, sight.name) == sight
    return (found, "") if same else (None, "changed while it was looked at")


def _split(hashed: Mapping[FileStat, _Hashed]) -> tuple[dict[FileStat, str], dict[FileStat, str]]:
    """Return the content hashes of the files that were read, and why the others were not."""
    read = {sight: hash_ for sight, (hash_, _) in hashed.items() if hash_}
    return read, {sight: why for sight, (hash_, why) in hashed.items() if not hash_}
