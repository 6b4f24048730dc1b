"""What is said about each file of an ingest (DESIGN section 6)."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cached_property

from kinemill.home import Home
from kinemill.ingest.decisions import Decision
from kinemill.ingest.looks import Sight
from kinemill.ingest.membership import Member, find_member
from kinemill.ingest.raw import Reason, reason
from kinemill.ingest.snapshot import Snapshot
from kinemill.spec import Task
from kinemill.store import Json, Outcome, Ref, summary_of


class Teller:
    """Tells of each file what is known of its content."""

    def __init__(
        self,
        task: Task,
        home: Home,
        snapshot: Snapshot,
        decisions: Mapping[str, Decision],
        entered: Set[str],
    ) -> None:
        self._task, self._home, self._snapshot = task, home, snapshot
        self._decisions, self._entered = decisions, entered

    def tell(self, sight: Sight, hash_: str | None) -> Json:
        """Return the report's entry of one file (DESIGN section 6).

        Args:
            sight: the file.
            hash_: sha256 of its bytes; None if it changed while they were read.
        """
        if hash_ is None:
            return unstable(sight)
        decision = self._decisions.get(hash_)
        if decision and decision.bars:
            return _report(sight, hash_, "known", {}, [decision.reason(self._task.name)])
        found = self._snapshot.find(hash_)
        if found:
            return self._read(sight, found)
        member = find_member(self._home, self._task.name, hash_)
        if member is None or self._task.ingest.wants(member.name):
            return unstable(sight)
        return _report(sight, hash_, "known", {}, [_excluded(member)])

    def _read(self, sight: Sight, found: Json) -> Json:
        first = found["hash"] in self._entered and sight.name == found["name"]
        verdict = "episodes" if found["tracks"] else "quarantined"
        reasons: list[Reason] = []
        if found["reasons"]:
            reasons = summary_of(self._home, Ref.from_json(found["ref"]))["reasons"]
        return _report(sight, found["hash"], verdict if first else "known", found, reasons)


@dataclass(frozen=True)
class IngestReport:
    """What an ingest found: the snapshot of all recordings, and what became of each file.

    Attributes:
        outcome: the snapshot.
        ignored: names of the files that no reader claims.
    """

    outcome: Outcome
    ignored: list[str]
    teller: Teller
    looked_at: Mapping[Sight, str | None]
    familiar: Mapping[Sight, bytes]
    moving: list[Sight]

    @cached_property
    def fresh(self) -> list[Json]:
        """The entries of the files that are new or look different than at the last ingest."""
        told = [self.teller.tell(sight, hash_) for sight, hash_ in self.looked_at.items()]
        return _sorted([*told, *(unstable(sight) for sight in self.moving)])

    @property
    def known(self) -> int:
        """How many files brought nothing new."""
        return len(self.familiar) + sum(entry["outcome"] == "known" for entry in self.fresh)

    @cached_property
    def files(self) -> list[Json]:
        """The entries of all files; reads all of the snapshot."""
        told = [self.teller.tell(sight, hash_.hex()) for sight, hash_ in self.familiar.items()]
        return _sorted([*told, *self.fresh])


def _sorted(entries: list[Json]) -> list[Json]:
    return sorted(entries, key=lambda item: str(item["file"]))


def _report(
    sight: Sight, hash_: str | None, outcome: str, summary: Json, reasons: list[Reason]
) -> Json:
    return {
        "file": sight.name,
        "hash": hash_,
        "outcome": outcome,
        "episodes": summary.get("tracks", 0),
        "rows": summary.get("rows", 0),
        "reasons": reasons,
    }


def unstable(sight: Sight) -> Json:
    """Return the report's entry of a file that is not complete yet."""
    unsettled = reason(
        "settled",
        "file",
        "changed while it was looked at, or cannot be read",
        expected="a file that is complete and readable",
        fix="run again when it is",
    )
    return _report(sight, None, "unstable", {}, [unsettled])


def _excluded(member: Member) -> Reason:
    return reason(
        "patterns",
        "file",
        f"the same content was first seen as {member.name!r}",
        expected="a name that `ingest.include` and `exclude` admit",
        fix="names at first sight decide",
    )
