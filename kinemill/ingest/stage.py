"""Ingest stage: from a folder of logs to the snapshot of a task's recordings, with a report.

Only changes since the last ingest are processed: files with a new stat, recordings with a manual
decision, and files of an interrupted ingest. If the ingest rules have changed, or the index is
lost, everything is processed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kinemill.errors import BadInput
from kinemill.ingest import recordings
from kinemill.ingest import snapshot as snapshots
from kinemill.ingest.appended_logs import supersede
from kinemill.ingest.decisions import Decision, current_decisions, decisions_elsewhere
from kinemill.ingest.file_stat import NOTHING, FileStat, is_file, read_file_stat, stat_of
from kinemill.ingest.files import (
    ScanResult,
    drop_folder,
    empty_scan,
    readers,
    require_channels,
    scan,
    wait_for_settled,
    why_unread,
)
from kinemill.ingest.hash_copy import reserve_copies
from kinemill.ingest.index import (
    Index,
    add_pending,
    clear_pending,
    load_index,
    pending,
    save_index,
    stage_index,
)
from kinemill.ingest.membership import (
    Member,
    find_member,
    members,
    name_new_members,
    sync_members,
)
from kinemill.ingest.raw import MAX_LISTED
from kinemill.ingest.recording import Job, record
from kinemill.ingest.recordings import reading_rules
from kinemill.ingest.report import IngestReport, Reporter
from kinemill.ingest.scan_cache import open_scan_cache
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

VERSION: int = recordings.VERSION
_FOLD = 4  # disk space per byte of a new log: raw, recording, episodes, dataset

Contents = Mapping[FileStat, str]
UnchangedFiles = Mapping[FileStat, bytes]


@dataclass(frozen=True)
class _Result:
    """The published snapshot, the hashes of new members, and why other files were not read."""

    artifact: Artifact
    entered: frozenset[str]
    unfinished: Mapping[str, str]


def inputs(task: Task, member: Member) -> Json:
    """Return what the key of one recording is made of."""
    return recordings.recording_inputs(task, member)


def run(
    task: Task, home: Home, folder: Path | None = None, progress: Progress | None = None
) -> IngestReport:
    """Ingest the logs of a folder, and publish the snapshot of all recordings of the task.

    Args:
        task: Defines which files are logs and how they are read.
        home: Stores artifacts, raw bytes and memberships.
        folder: One log, or a folder that is searched recursively. Default: the drop folder.
        progress: Called for each file.

    Raises:
        BadInput: The folder does not exist, the task declares no channels, or neither the task
            nor the folder has a recording.
        CorruptArtifact: The artifact of a recording and its raw bytes are both damaged.
    """
    require_channels(task)
    progress = progress or NullReporter()
    # A second ingest blocks here, reports the lock holder, then reads the cached result.
    with lock(home, f"ingest-{task.name}", progress.log_message):
        return _ingest(task, home, folder, progress)


def _ingest(task: Task, home: Home, folder: Path | None, progress: Progress) -> IngestReport:
    source = folder or drop_folder(task, home)
    _sync_with_remote(task, home)
    cache = open_scan_cache(task, home, source)
    scanned = scan(task, source, cache.files) if folder or stat_of(source) else empty_scan()
    described = _described_anew(task, scanned)
    again = (
        [file_stat for file_stat in scanned.unchanged if file_stat in described]
        if described
        else []
    )
    unchanged = scanned.unchanged.without(again)
    warn(home.root, progress.log_message, _FOLD * sum(file_stat.size for file_stat in scanned.logs))
    fault_point("ingest.scanned")
    still, unstable = wait_for_settled([*scanned.logs, *again], task.ingest.min_file_age)
    with reserve_copies(home) as copy_path:
        hashes = on_threads(lambda file_stat: _hash(file_stat, copy_path(file_stat)), still)
        read, unread = _split(dict(zip(still, hashes, strict=True)))
        fault_point("ingest.hashed")
        earlier = {
            file_stat: previous_hash
            for file_stat in read
            if (previous_hash := cache.hash_before(file_stat))
        }
        decisions = current_decisions(home, task.name)
        taking = _Ingest(task, home, decisions, described)
        result = taking.take(read, unchanged, earlier, progress)
    unread |= dict.fromkeys(unstable, "changed while it was read")
    if result is None:
        raise _nothing(task, source, unread)
    if not is_file(source):
        finished = {s: bytes.fromhex(h) for s, h in read.items() if h not in result.unfinished}
        sidecar_entries = dict.fromkeys(scanned.sidecars, NOTHING)
        known_sidecars = [file_stat.name for file_stat in scanned.known_sidecars]
        cache.write({**finished, **sidecar_entries}, {*unchanged.files, *known_sidecars})
    snapshot = Snapshot(home, result.artifact.ref)
    reporter = Reporter(task, home, snapshot, decisions, result.entered, result.unfinished)
    return IngestReport(result.artifact, scanned.ignored, reporter, read, unread, unchanged)


def _sync_with_remote(task: Task, home: Home) -> None:
    """Fetch the recordings and decisions of other machines."""
    decisions_elsewhere(home, task.name)
    sync_members(home, task.name, lambda new: add_pending(home, task.name, new))


def _described_anew(task: Task, looked: ScanResult) -> set[FileStat]:
    """Return the logs with a new or changed side-car file."""
    bases = {
        file_stat.name[: -len(ending)]
        for file_stat in looked.sidecars
        for ending in task.ingest.meta.sidecar
        if file_stat.name.lower().endswith(ending)
    }
    if not bases:
        return set()
    every = (*looked.logs, *looked.unchanged)
    return {s for s in every if s.name in bases or s.name.rpartition(".")[0] in bases}


class _Ingest:
    """One ingest: the task, the decisions, and the previous snapshot if the rules are equal."""

    def __init__(
        self, task: Task, home: Home, decisions: Mapping[str, Decision], described: set[FileStat]
    ) -> None:
        self._task, self._home, self._decisions = task, home, decisions
        self._described = described  # logs with a new or changed side-car
        self._barred = frozenset(hash_ for hash_, made in decisions.items() if made.bars)
        self._released = frozenset(
            hash_ for hash_, made in decisions.items() if made.decision == "release"
        )
        self._rules = digest(reading_rules(task))
        self._pending = pending(home, task.name)
        index = load_index(home, task.name)
        self._previous = index if index and index[0].rules == self._rules else None

    def take(
        self, read: Contents, unchanged: UnchangedFiles, earlier: Contents, progress: Progress
    ) -> _Result | None:
        """Read new recordings and publish the snapshot; return None if there is no recording.

        Args:
            read: content hashes of the files that are new or changed.
            unchanged: content hashes of all others.
            earlier: content hashes read before under the names of changed files.
            progress: receives each recording.
        """
        requested = self._requested_hashes(read, unchanged)
        contents = list(read.items())
        if requested - set(read.values()):
            contents += [(s, h.hex()) for s, h in unchanged.items() if h.hex() in requested]
        jobs, entered = self._jobs(requested - self._barred, name_new_members(contents))
        changes: dict[str, Json | None] = dict.fromkeys(requested)
        unfinished = dict[str, str]()
        for member, artifact in record(jobs, progress, first=lambda: self._note(entered)):
            if isinstance(artifact, str):
                unfinished[member.hash] = artifact
                continue
            released = member.hash in self._released
            changes[member.hash] = entry_of(member.hash, member.name, artifact, released=released)
        fault_point("ingest.recorded")
        changes |= self._exclude_superseded(read, earlier, changes)
        snapshot = self._publish(changes)
        fault_point("ingest.published")
        if snapshot is None:
            return None
        return _Result(snapshot, frozenset(entered - unfinished.keys()), unfinished)

    def _note(self, entered: set[str]) -> None:
        """Mark the new recordings as pending before any of them becomes a member."""
        if entered:
            add_pending(self._home, self._task.name, entered)
            fault_point("ingest.noted")

    def _exclude_superseded(
        self, read: Contents, earlier: Contents, changes: Mapping[str, Json | None]
    ) -> dict[str, Json | None]:
        """Exclude recordings whose bytes a longer file of the same name begins with."""
        superseded: dict[str, Json | None] = {}
        for file_stat, hash_ in read.items():
            entry = changes.get(hash_)
            if entry and entry["tracks"]:
                grown, previous_hash = (file_stat.path, hash_), earlier.get(file_stat)
                if made := supersede(self._task, self._home, grown, previous_hash, self._decisions):
                    superseded[made.recording] = None
        self._barred |= set(superseded)
        return superseded

    def _jobs(
        self, requested: set[str], sources: Mapping[str, tuple[Member, Path]]
    ) -> tuple[list[Job], set[str]]:
        """Return the recordings to read, and the hashes of those that are no members yet."""
        jobs, entered = list[Job](), set[str]()
        for hash_ in sorted(requested):
            existing = find_member(self._home, self._task.name, hash_)
            fresh, path = sources.get(hash_, (None, None))
            member = existing or fresh
            if member and self._task.ingest.wants(member.name):
                jobs.append((self._task, self._home, member, path))
                entered |= set[str]() if existing else {hash_}
        return jobs, entered

    def _requested_hashes(self, read: Contents, unchanged: UnchangedFiles) -> set[str]:
        """Return the hashes of all recordings to check."""
        if self._previous is None:
            existing = members(self._home, self._task.name)
            return {*read.values(), *(hash_.hex() for hash_ in unchanged.values()), *existing}
        index, snapshot = self._previous
        decided_anew = (index.barred ^ self._barred) | (index.released ^ self._released)
        # A file with a new stat and known content can only have a new side-car.
        new = {h for s, h in read.items() if s in self._described or snapshot.find(h) is None}
        return {*new, *self._pending, *decided_anew}

    def _publish(self, changes: Mapping[str, Json | None]) -> Artifact | None:
        """Publish the snapshot with these changes, and its index."""
        home, task = self._home, self._task.name

        def index_of(artifact: Artifact) -> Index:
            return Index(self._rules, artifact.ref, self._barred, self._released)

        def after(artifact: Artifact) -> list[Move]:
            return [stage_index(home, task, index_of(artifact))]

        if self._previous is None:
            entries = [entry for entry in changes.values() if entry]
            artifact = snapshots.publish(home, task, entries, after) if entries else None
        else:
            index, snapshot = self._previous
            artifact = snapshots.amend(home, task, snapshot, changes, after)
            if artifact and artifact is snapshot.artifact and index_of(artifact) != index:
                save_index(home, task, index_of(artifact))
        if artifact:
            clear_pending(home, task)
        return artifact


def _nothing(task: Task, source: Path, unread: Mapping[FileStat, str]) -> BadInput:
    endings = [suffix for reader in readers(task).values() for suffix in reader.suffixes]
    named = [f"{file_stat.label} {why}" for file_stat, why in sorted(unread.items())]
    listing = f": {'; '.join(named[:MAX_LISTED])}" if named else ""
    more = f" and {len(named) - MAX_LISTED} more" if len(named) > MAX_LISTED else ""
    return BadInput(
        source,
        f"holds no complete log of the task {task.name!r}{listing}{more}",
        expected=f"files with the suffix {', '.join(endings)} and match `ingest.include`",
        fix="put logs there, or name a folder with --logs",
    )


_Hashed = tuple[str | None, str]  # sha256 of a file's bytes; None, and why there is none


def _hash(file_stat: FileStat, copy_path: Path | None) -> _Hashed:
    """Return the sha256 of a file, or why it could not be read; copy it to `copy_path` if given."""
    try:
        hash_ = digest_to_copy(file_stat.path, copy_path)
        if copy_path and copy_path.exists():
            start_writeback(copy_path)
    except OSError as error:
        return None, why_unread(error)
    same = read_file_stat(file_stat.folder, file_stat.name) == file_stat
    return (hash_, "") if same else (None, "changed while it was read")


def _split(hashed: Mapping[FileStat, _Hashed]) -> tuple[dict[FileStat, str], dict[FileStat, str]]:
    """Return the content hashes of the files that were read, and why the others were not."""
    read = {file_stat: hash_ for file_stat, (hash_, _) in hashed.items() if hash_}
    return read, {file_stat: why for file_stat, (hash_, why) in hashed.items() if not hash_}
