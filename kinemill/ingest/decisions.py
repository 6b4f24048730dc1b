"""Decisions about recordings, mostly manual: who, when and why.

The last decision about a recording is current until it is withdrawn:

- `release`: checks no longer cut or quarantine it;
- `reject`: it is excluded, and its bytes are kept;
- `forget`: it is excluded, and its stored data is deleted;
- `supersede`: a longer recording of the same name replaces it;
- `merge`: an edit merges it into another recording; it has no decision file;
- `withdraw`: the previous decision no longer applies.
"""

from dataclasses import dataclass
from typing import Literal

from kinemill.errors import BadInput
from kinemill.ingest.edits import merges
from kinemill.ingest.raw import Reason, reason
from kinemill.store.act_log import ActLog
from kinemill.store.formats import Format
from kinemill.store.home import Home
from kinemill.store.locks import current_user, now

Kind = Literal["release", "reject", "forget", "supersede", "merge", "withdraw"]

_BARRED = {
    "reject": "rejected",
    "forget": "forgotten",
    "supersede": "superseded",
    "merge": "merged",
}
_UNDO = {
    "forget": "kinemill data forget {} {} --undo withdraws the decision",
    "merge": "kinemill data edits {} lists the edit, and data edit --undo withdraws it",
}
BARRED_STATUSES = frozenset(_BARRED.values())


@dataclass(frozen=True)
class Decision:
    """One decision about one recording; `when` in UTC, ISO 8601."""

    number: int
    recording: str
    name: str
    decision: Kind
    who: str
    when: str
    because: str

    @property
    def bars(self) -> bool:
        """Whether the decision excludes the recording."""
        return self.decision in _BARRED

    @property
    def status(self) -> str:
        """Status of an excluded recording: rejected, forgotten or superseded."""
        return _BARRED[self.decision]

    def reason(self, task: str) -> Reason:
        """Return why a file with this content is excluded."""
        withdraw = "kinemill data quarantine undo {} {} withdraws the decision"
        fix = _UNDO.get(self.decision, withdraw).format(task, self.recording[:16])
        said = f", because: {self.because}" if self.because else ""
        return reason(
            self.status,
            "file",
            f"{self.status} by {self.who} on {self.when}{said}",
            expected="nothing: the decision excludes it",
            fix=fix,
        )

    def require_not_merged(self, task: str) -> None:
        """Check that a user can decide about the recording.

        Raises:
            BadInput: An edit merged it into another one.
        """
        if self.decision == "merge":
            item = self.reason(task)
            problem = f"is {item['found']}"
            raise BadInput(self.name, problem, expected="a separate recording", fix=item["fix"])


DECISIONS = ActLog("decisions", Format("decision", 1), Decision)


def current_decisions(home: Home, task: str) -> dict[str, Decision]:
    """Return the current decision by content hash; recordings without one are omitted.

    A recording that is merged into another one counts as decided on, while that one is used.
    """
    last = {decision.recording: decision for decision in DECISIONS.read(home, task)}
    current = {hash_: item for hash_, item in last.items() if item.decision != "withdraw"}
    barred = {hash_ for hash_, item in current.items() if item.bars}
    for merged, (hash_, edit) in merges(home, task).items():
        if edit.change and not barred & {merged, hash_}:  # else the other is a recording again
            because = f"it continues {hash_[:16]}"
            about = (edit.number, merged, edit.change.merged_name, "merge")
            current[merged] = Decision(*about, edit.who, edit.when, because)
    return current


def decide(home: Home, task: str, hash_: str, name: str, decision: Kind, because: str) -> Decision:
    """Record a decision about a recording permanently, by its hash and name at first ingest."""
    return DECISIONS.append(
        home, task, lambda: Decision(0, hash_, name, decision, current_user(), now(), because)
    )
