"""What is said about each file of an ingest (DESIGN section 6)."""

from pathlib import Path

from kinemill.ingest.files import Sight
from kinemill.ingest.membership import Member
from kinemill.ingest.raw import Reason, reason
from kinemill.store import Json, Outcome


def entry(
    sight: Sight,
    hash_: str | None,
    outcomes: dict[str, Outcome],
    known: dict[str, Member],
    found: dict[str, tuple[Member, Path]],
) -> Json:
    """Return the report's entry of one file (DESIGN section 6).

    Args:
        sight: the file.
        hash_: sha256 of its bytes; None if it changed while they were read.
        outcomes: outcome of each recording by hash.
        known: members from before this ingest, by hash.
        found: member and path of each content in the folder, by hash.
    """
    member = known.get(hash_ or "") or found.get(hash_ or "", (None, None))[0]
    if hash_ is None or member is None:
        return unstable(sight)
    if hash_ not in outcomes and hash_ in known:
        return _report(sight, hash_, "known", {}, [_excluded(member)])
    if hash_ not in outcomes:
        return unstable(sight)
    summary = outcomes[hash_].summary
    first = hash_ not in known and sight.name == member.name
    verdict = "episodes" if summary["tracks"] else "quarantined"
    return _report(sight, hash_, verdict if first else "known", summary, summary["reasons"])


def _report(
    sight: Sight, hash_: str | None, outcome: str, summary: Json, reasons: list[Reason]
) -> Json:
    return {
        "file": sight.name,
        "hash": hash_,
        "outcome": outcome,
        "episodes": len(summary.get("tracks", [])),
        "rows": summary.get("rows", 0),
        "reasons": reasons,
    }


def left_out(sight: Sight, hash_: str, why: Reason) -> Json:
    """Return the report's entry of a file whose content is known and not wanted."""
    return _report(sight, hash_, "known", {}, [why])


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
