"""Report of an ingest: one entry per file, with outcome and reasons."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cached_property

from kinemill.catalog import CatalogEntry
from kinemill.ingest.decisions import Decision
from kinemill.ingest.file_stat import FileStat
from kinemill.ingest.membership import Member, find_member
from kinemill.ingest.raw import Reason, reason
from kinemill.ingest.scan_cache import UnchangedFiles
from kinemill.ingest.snapshot import Snapshot
from kinemill.store import Artifact, Json, summary_of
from kinemill.store.home import Home
from kinemill.task import Task

_CHANGED = "changed while it was read"


@dataclass(frozen=True, kw_only=True)
class IngestReport:
    """Result of an ingest: the snapshot of all recordings, and the outcome of each file.

    Attributes:
        task: its task.
        home: its home.
        artifact: the snapshot.
        decisions: current decisions.
        entered: content hashes of new recordings.
        unfinished: reasons for contents that were not read to their end.
        ignored: reason by name for files that were ignored.
        read: content hashes of the files that are new or changed.
        unread: reasons for those that could not be read.
        unchanged: all others.
    """

    task: Task
    home: Home
    artifact: Artifact
    decisions: Mapping[str, Decision]
    entered: Set[str]
    unfinished: Mapping[str, str]
    ignored: Mapping[str, str]
    read: Mapping[FileStat, str]
    unread: Mapping[FileStat, str]
    unchanged: UnchangedFiles

    @cached_property
    def fresh(self) -> list[Json]:
        """The entries of the files that are new or changed since the last ingest."""
        unread = [unstable(file_stat, why) for file_stat, why in self.unread.items()]
        return _sort_entries(self._describe_all(self.read) + unread)

    @property
    def cached(self) -> int:
        """Number of files without new content."""
        return len(self.unchanged) + sum(entry["outcome"] == "known" for entry in self.fresh)

    @cached_property
    def files(self) -> list[Json]:
        """The entries of all files; reads the whole snapshot."""
        return _sort_entries(self._describe_all(dict(self.unchanged.items())) + self.fresh)

    def _describe_all(self, files: Mapping[FileStat, str]) -> list[Json]:
        """Return the entries of files: name, digest, outcome, episodes, rows and reasons."""
        entries = Snapshot(self.home, self.artifact.ref).find_all(files.values())
        return [
            self._describe(file_stat, hash_, entries.get(hash_))
            for file_stat, hash_ in files.items()
        ]

    def _describe(self, file_stat: FileStat, hash_: str, entry: CatalogEntry | None) -> Json:
        decision = self.decisions.get(hash_)
        if decision and decision.bars:
            return _report(file_stat, hash_, "known", None, [decision.reason(self.task.name)])
        if entry:
            return self._of_recording(file_stat, entry)
        member = find_member(self.home, self.task.name, hash_)
        if member is None or self.task.ingest.wants(member.name):
            return unstable(file_stat, self.unfinished.get(hash_, _CHANGED))
        return _report(file_stat, hash_, "known", None, [_excluded_reason(member)])

    def _of_recording(self, file_stat: FileStat, entry: CatalogEntry) -> Json:
        first = entry.hash in self.entered and file_stat.label == entry.name
        verdict = "episodes" if entry.tracks else "quarantined"
        reasons: list[Reason] = []
        if entry.reasons:
            reasons = summary_of(self.home, entry.ref)["reasons"]
        return _report(file_stat, entry.hash, verdict if first else "known", entry, reasons)


def _sort_entries(entries: list[Json]) -> list[Json]:
    return sorted(entries, key=lambda item: str(item["file"]))


def _report(
    file_stat: FileStat,
    hash_: str | None,
    status: str,
    entry: CatalogEntry | None,
    reasons: list[Reason],
) -> Json:
    return {
        "file": file_stat.label,
        "hash": hash_,
        "outcome": status,
        "episodes": entry.tracks if entry else 0,
        "rows": entry.rows if entry else 0,
        "reasons": reasons,
    }


def unstable(file_stat: FileStat, why: str) -> Json:
    """Return the entry of a file that is incomplete or cannot be read."""
    return _report(file_stat, None, "unstable", None, [unread(why)])


def unread(why: str) -> Reason:
    """Return the reason why a file was not read; the next ingest tries again."""
    return reason(
        "settled",
        "file",
        why,
        expected="a file that is complete and readable",
        fix="run again when it is",
    )


def _excluded_reason(member: Member) -> Reason:
    return reason(
        "patterns",
        "file",
        f"the same content was first ingested as {member.name!r}",
        expected="a name that `ingest.include` and `exclude` admit",
        fix="the name at first ingest decides; change the patterns to include it",
    )
