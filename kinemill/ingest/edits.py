"""Edits of recordings: manual corrections of how logs are read. Raw bytes never change.

An edit holds until another act withdraws it. The key of a recording's artifact has the edits that
hold for it, so an edit affects no other recording, and undoing one finds the earlier artifact.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kinemill.store.act_log import ActLog
from kinemill.store.formats import Format
from kinemill.store.home import Home
from kinemill.store.locks import now

EditKind = Literal["exclude", "split", "merge"]
KINDS: tuple[EditKind, ...] = ("exclude", "split", "merge")


@dataclass(frozen=True)
class EditChange:
    """What an edit changes. Times are s since the first stamp of the recording.

    Attributes:
        kind: what is done.
        start_s: first excluded time, or the time at which the recording is split.
        stop_s: last excluded time.
        part: name of the part of the log that the times are of; "" if it has one.
        merged: content hash of the recording that continues this one (`merge`).
        max_gap_s: longest time without samples between both, s (`merge`).
    """

    kind: EditKind
    start_s: float = 0.0
    stop_s: float = 0.0
    part: str = ""
    merged: str = ""
    merged_name: str = ""
    max_gap_s: float = 0.0

    def spell(self) -> str:
        """Return the change in words."""
        part = f" of {self.part}" if self.part else ""
        texts: dict[EditKind, str] = {
            "exclude": f"exclude {self.start_s:g} to {self.stop_s:g} s{part}",
            "split": f"split at {self.start_s:g} s{part}",
            "merge": f"merge {self.merged_name} ({self.merged[:16]})",
        }
        return texts[self.kind]


@dataclass(frozen=True)
class Edit:
    """One act: recordings were edited, or an edit of them was withdrawn.

    Attributes:
        number: of the act, from 1.
        recordings: content hashes.
        change: what is changed; None for an act that withdraws an edit.
        who: a user.
        when: ISO 8601, UTC.
        because: reason given by the user; may be empty.
        undoes: number of the edit that the act withdraws, or None.
    """

    number: int
    recordings: list[str]
    change: EditChange | None
    who: str
    when: str
    because: str = ""
    undoes: int | None = None


EDITS = ActLog("edits", Format("edit", 1), Edit)


def current_edits(home: Home, task: str) -> Mapping[str, Sequence[Edit]]:
    """Return the edits that hold by content hash of the recording, oldest first."""
    acts = EDITS.read(home, task)
    withdrawn = {(act.undoes, hash_) for act in acts if act.undoes for hash_ in act.recordings}
    current = dict[str, list[Edit]]()
    for act in acts:
        for hash_ in act.recordings if act.change else ():
            if (act.number, hash_) not in withdrawn:
                current.setdefault(hash_, []).append(act)
    return current


def merges(home: Home, task: str) -> dict[str, tuple[str, Edit]]:
    """Return, by content hash, the recordings that others continue with: whose, and the edit."""
    return {
        edit.change.merged: (hash_, edit)
        for hash_, edits in current_edits(home, task).items()
        for edit in edits
        if edit.change and edit.change.kind == "merge"
    }


def carry_over(home: Home, task: str, previous: str, grown: str) -> None:
    """Apply the edits of a recording to the longer one that begins with its bytes.

    A merge is left out: the log continues in its own file. An edit that a user withdrew from the
    longer recording is not applied again.
    """
    acts = [act for act in EDITS.read(home, task) if grown in act.recordings]
    earlier = {act.change for act in acts}
    for edit in current_edits(home, task).get(previous, ()):
        if edit.change and edit.change.kind != "merge" and edit.change not in earlier:
            because = f"as of {previous[:16]}, which this recording continues"
            carried = replace(edit, recordings=[grown], when=now(), because=because)
            EDITS.append(home, task, lambda act=carried: act)
