"""Update of a task's snapshot: read new recordings, and publish the snapshot that includes them.

A recording becomes a member before the snapshot is published. Until then it is pending, so that
the next update includes it if this one is killed, or read one partition alone.

A longer file of the same name supersedes the recording that it begins with: a logger that pauses
longer than `ingest.min_file_age` and then appends leaves two contents under one name, which share
their first rows. A decision then excludes the shorter one; a user can withdraw it, and the raw
bytes are kept. Only a digest of the first bytes of the new file is compared, so any format that
grows at its end is supported. A log whose videos changed supersedes its recording likewise.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kinemill import catalog
from kinemill.catalog import CatalogEntry, RecordingSet, SetRules
from kinemill.ingest import snapshot as snapshots
from kinemill.ingest.decisions import Decision, decide
from kinemill.ingest.edited_log import edit_digests
from kinemill.ingest.edits import carry_over
from kinemill.ingest.file_stat import FileStat, stat_of
from kinemill.ingest.index import add_pending, load_index, pending, save_index
from kinemill.ingest.membership import Member, find_member, members, name_new_members, raw_path
from kinemill.ingest.partitions import member_key, member_keys
from kinemill.ingest.raw import Unreadable
from kinemill.ingest.readers._lerobot_videos import uses_videos
from kinemill.ingest.readers._video_archive import table_digest
from kinemill.ingest.recording import Job, record
from kinemill.ingest.recordings import reading_rules
from kinemill.ingest.scan_cache import UnchangedFiles
from kinemill.ingest.snapshot import entry_of
from kinemill.store import Artifact, digest, file_digest
from kinemill.store.fault_injection import fault_point
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.protocols import Progress

_CHUNK = 1 << 20
Contents = Mapping[FileStat, str]
Changes = dict[str, CatalogEntry | None]  # by content hash; None excludes a recording


@dataclass(frozen=True)
class UpdateResult:
    """The published snapshot, the hashes of new members, and why other files were not read."""

    artifact: Artifact
    entered: frozenset[str]
    unfinished: Mapping[str, str]


class SnapshotUpdate:
    """One ingest: the task, the decisions, and the last change if its rules are equal."""

    def __init__(
        self, task: Task, home: Home, decisions: Mapping[str, Decision], described: set[FileStat]
    ) -> None:
        self._task = task
        self._home = home
        self._decisions = decisions
        self._described = described  # logs with a new or changed side-car
        self._barred = frozenset(hash_ for hash_, made in decisions.items() if made.bars)
        self._released = frozenset(
            hash_ for hash_, made in decisions.items() if made.decision == "release"
        )
        self._edits = edit_digests(home, task.name)  # as of before anything is read
        self._rules = digest(reading_rules(task))
        self._pending = pending(home, task.name)
        head = load_index(home, task.name)
        self._head = head if head and head.by.rules == self._rules else None

    def take(
        self, read: Contents, unchanged: UnchangedFiles, earlier: Contents, progress: Progress
    ) -> UpdateResult | None:
        """Read new recordings and publish the snapshot; return None if there is no recording.

        `earlier` holds content hashes read before under the names of changed files.
        """
        self._carry_edits_over(read, earlier)
        requested = self._requested_hashes(read, unchanged)
        contents = list(read.items())
        if missing := requested - set(read.values()):
            contents += unchanged.with_hashes(sorted(missing))
        changes, entered, unfinished = self._record(requested, contents, progress)
        changes |= self._exclude_superseded(read, earlier, changes)
        snapshot = self._publish(changes)
        fault_point("ingest.published")
        return UpdateResult(snapshot, entered, unfinished) if snapshot else None

    def take_partition(
        self, key: str, read: Contents, earlier: Contents, progress: Progress
    ) -> UpdateResult | None:
        """Read the recordings of one partition and publish their snapshot; None if it is empty.

        New recordings stay pending until the snapshot of all recordings includes them.
        """
        self._carry_edits_over(read, earlier)
        existing = {hash_ for hash_, of in member_keys(self._task, self._home).items() if of == key}
        requested = existing | set(read.values())
        changes, entered, unfinished = self._record(requested, list(read.items()), progress)
        changes |= self._exclude_superseded(read, earlier, changes)
        entries = [entry for entry in changes.values() if entry and self._is_in(key, entry)]
        if not entries:
            return None
        snapshot = snapshots.publish_subset(self._home, self._task.name, entries)
        return UpdateResult(snapshot, entered, unfinished)

    def _is_in(self, key: str, entry: CatalogEntry) -> bool:
        """Return whether a recording is in a partition: a copy of it may be in another one."""
        member = find_member(self._home, self._task.name, entry.hash)
        return member is not None and member_key(self._task, member) == key

    def _record(
        self, requested: set[str], contents: list[tuple[FileStat, str]], progress: Progress
    ) -> tuple[Changes, frozenset[str], dict[str, str]]:
        """Read recordings; return their entries, the new ones, and why others were not read."""
        jobs, entered = self._jobs(requested - self._barred, name_new_members(contents))
        changes: Changes = dict.fromkeys(requested)
        unfinished = dict[str, str]()
        for member, artifact in record(jobs, progress, first=lambda: self._note(entered)):
            if isinstance(artifact, str):
                unfinished[member.hash] = artifact
                continue
            released = member.hash in self._released
            changes[member.hash] = entry_of(member.hash, member.name, artifact, released=released)
        fault_point("ingest.recorded")
        return changes, frozenset(entered - unfinished.keys()), unfinished

    def _note(self, entered: set[str]) -> None:
        """Mark the new recordings as pending before any of them becomes a member."""
        if entered:
            add_pending(self._home, self._task.name, entered)
            fault_point("ingest.noted")

    def _carry_edits_over(self, read: Contents, earlier: Contents) -> None:
        """Apply the edits of a recording to the longer one that takes its place."""
        home = self._home
        task = self._task.name
        edited = {hash_ for hash_, _ in self._edits}
        for file_stat, hash_ in read.items():
            previous = earlier.get(file_stat)
            if previous in edited and self.find_grown(file_stat.path, hash_, previous):
                carry_over(home, task, previous, hash_)
        self._edits = edit_digests(home, task)

    def _exclude_superseded(self, read: Contents, earlier: Contents, changes: Changes) -> Changes:
        """Exclude recordings whose bytes a longer file of the same name begins with."""
        superseded: Changes = {}
        for file_stat, hash_ in read.items():
            entry = changes.get(hash_)
            if entry and entry.tracks:
                # It has tracks, so that no rows are lost meanwhile.
                grown = self.find_grown(file_stat.path, hash_, earlier.get(file_stat))
                superseded |= {self.supersede(grown, file_stat.path, hash_): None} if grown else {}
        self._barred |= set(superseded)
        return superseded

    def find_grown(self, path: Path, hash_: str, previous: str | None) -> Member | None:
        """Return the recording that a file was before it grew; None if it is another log, or kept.

        `previous` is the content hash read under the same name before. A manual decision about that
        recording is kept. A log whose videos changed grew as well, if its rows are the same.
        """
        if previous is None or previous == hash_ or previous in self._decisions:
            return None
        member = find_member(self._home, self._task.name, previous)
        now = stat_of(path)
        if member is None or now is None:
            return None
        if uses_videos(self._task, path):
            return member if _has_same_rows(raw_path(self._home, member), path) else None
        is_longer = 0 < member.bytes < now.st_size
        return member if is_longer and _begins_with(path, member.bytes, previous) else None

    def supersede(self, member: Member, path: Path, hash_: str) -> str:
        """Exclude a recording that is a longer one now, and return its content hash."""
        because = f"continues in {hash_[:16]}, which begins with its {member.bytes} bytes"
        if uses_videos(self._task, path):
            because = f"has the same rows as {hash_[:16]}, whose videos are newer"
        decide(self._home, self._task.name, member.hash, member.name, "supersede", because)
        return member.hash

    def _jobs(
        self, requested: set[str], sources: Mapping[str, tuple[Member, Path]]
    ) -> tuple[list[Job], set[str]]:
        """Return the recordings to read, and the hashes of those that are no members yet."""
        jobs = list[Job]()
        entered = set[str]()
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
        if self._head is None:
            existing = members(self._home, self._task.name)
            return {*read.values(), *(hash_ for _, hash_ in unchanged.items()), *existing}
        by = self._head.by
        decided_anew = (by.barred ^ self._barred) | (by.released ^ self._released)
        decided_anew |= {hash_ for hash_, _ in by.edits ^ self._edits}
        last = RecordingSet(self._home, self._task.name, self._head.change)
        present = last.present(read.values())
        # A file with a new stat and known content can only have a new side-car.
        new = {h for s, h in read.items() if s in self._described or h not in present}
        return {*new, *self._pending, *decided_anew}

    def _publish(self, changes: Changes) -> Artifact | None:
        """Enter the changes in the catalog, and publish the snapshot; None if it is empty."""
        home = self._home
        task = self._task.name
        by = SetRules(self._rules, self._barred, self._released, self._edits)
        head = catalog.amend(home, task, changes, by, whole=self._head is None)
        if not head.totals.recordings:
            return None
        artifact = snapshots.publish(home, task, head)
        save_index(home, task, artifact.ref)
        return artifact


def _has_same_rows(raw: Path, path: Path) -> bool:
    """Return whether a stored log is a Parquet file with older videos; False if it is missing."""
    try:
        return (table_digest(raw) or file_digest(raw)) == file_digest(path)
    except (OSError, Unreadable):
        return False


def _begins_with(path: Path, count: int, hash_: str) -> bool:
    """Return whether the first `count` bytes of a file have this sha256; False if it is missing."""
    hasher = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while count > 0 and (chunk := file.read(min(count, _CHUNK))):
                hasher.update(chunk)
                count -= len(chunk)
    except OSError:
        return False
    return hasher.hexdigest() == hash_
