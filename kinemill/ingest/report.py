"""Report of an ingest: one entry per file, with what became of it and why."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cached_property

from kinemill.ingest.decisions import Decision
from kinemill.ingest.file_stat import FileStat
from kinemill.ingest.membership import Member, find_member
from kinemill.ingest.raw import Reason, reason
from kinemill.ingest.snapshot import Snapshot
from kinemill.store import Artifact, ArtifactRef, Json, summary_of
from kinemill.store.home import Home
from kinemill.task import Task

_CHANGED = "changed while it was looked at"


class Reporter:
    """Tells of each file what is known of its content."""

    def __init__(
        self,
        task: Task,
        home: Home,
        snapshot: Snapshot,
        decisions: Mapping[str, Decision],
        entered: Set[str],
        unfinished: Mapping[str, str],
    ) -> None:
        self._task, self._home, self._snapshot = task, home, snapshot
        self._decisions, self._entered, self._unfinished = decisions, entered, unfinished

    def tell(self, sight: FileStat, hash_: str) -> Json:
        """Return the report's entry of one file: name, digest, outcome, episodes, rows and reasons.

        Args:
            sight: the file.
            hash_: sha256 of its bytes.
        """
        decision = self._decisions.get(hash_)
        if decision and decision.bars:
            return _report(sight, hash_, "known", {}, [decision.reason(self._task.name)])
        found = self._snapshot.find(hash_)
        if found:
            return self._read(sight, found)
        member = find_member(self._home, self._task.name, hash_)
        if member is None or self._task.ingest.wants(member.name):
            return unstable(sight, self._unfinished.get(hash_, _CHANGED))
        return _report(sight, hash_, "known", {}, [_excluded(member)])

    def _read(self, sight: FileStat, found: Json) -> Json:
        first = found["hash"] in self._entered and sight.label == found["name"]
        verdict = "episodes" if found["tracks"] else "quarantined"
        reasons: list[Reason] = []
        if found["reasons"]:
            reasons = summary_of(self._home, ArtifactRef.from_json(found["ref"]))["reasons"]
        return _report(sight, found["hash"], verdict if first else "known", found, reasons)


@dataclass(frozen=True)
class IngestReport:
    """What an ingest found: the snapshot of all recordings, and what became of each file.

    Attributes:
        artifact: the snapshot.
        ignored: why files are left alone, by name.
        teller: says what became of a content.
        read: content hashes of the files that are new or look different than before.
        unread: why some of these have none.
        familiar: content hashes of all others.
    """

    artifact: Artifact
    ignored: Mapping[str, str]
    teller: Reporter
    read: Mapping[FileStat, str]
    unread: Mapping[FileStat, str]
    familiar: Mapping[FileStat, bytes]

    @cached_property
    def fresh(self) -> list[Json]:
        """The entries of the files that are new or look different than at the last ingest."""
        listed = [self.teller.tell(sight, hash_) for sight, hash_ in self.read.items()]
        return _sorted([*listed, *(unstable(sight, why) for sight, why in self.unread.items())])

    @property
    def known(self) -> int:
        """How many files brought nothing new."""
        return len(self.familiar) + sum(entry["outcome"] == "known" for entry in self.fresh)

    @cached_property
    def files(self) -> list[Json]:
        """The entries of all files; reads all of the snapshot."""
        listed = [self.teller.tell(sight, hash_.hex()) for sight, hash_ in self.familiar.items()]
        return _sorted([*listed, *self.fresh])


def _sorted(entries: list[Json]) -> list[Json]:
    return sorted(entries, key=lambda item: str(item["file"]))


def _report(
    sight: FileStat, hash_: str | None, outcome: str, summary: Json, reasons: list[Reason]
) -> Json:
    return {
        "file": sight.label,
        "hash": hash_,
        "outcome": outcome,
        "episodes": summary.get("tracks", 0),
        "rows": summary.get("rows", 0),
        "reasons": reasons,
    }


def unstable(sight: FileStat, why: str) -> Json:
    """Return the report's entry of a file that is not complete yet, or cannot be read."""
    return _report(sight, None, "unstable", {}, [unread(why)])


def unread(why: str) -> Reason:
    """Return the reason why a file was not read, which the next ingest tries again."""
    return reason(
        "settled",
        "file",
        why,
        expected="a file that is complete and readable",
        fix="run again when it is",
    )


def _excluded(member: Member) -> Reason:
    return reason(
        "patterns",
        "file",
        f"the same content was first seen as {member.name!r}",
        expected="a name that `ingest.include` and `exclude` admit",
        fix="names at first sight decide",
    )
