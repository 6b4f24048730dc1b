"""Decisions about recordings, mostly manual: who, when and why. They are never changed.

One file per decision, `store/decisions/<task>/<number>.json`, numbered in order. The last decision
about a recording is current until it is withdrawn:

- `release`: checks no longer cut or quarantine it;
- `reject`: it is excluded, and its bytes are kept;
- `forget`: it is excluded, and its stored data is deleted;
- `supersede`: a longer recording of the same name replaces it;
- `merge`: an edit merges it into another recording; it has no decision file;
- `withdraw`: the previous decision no longer applies.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.ingest.edits import merges
from kinemill.ingest.raw import Reason, reason
from kinemill.store import Json, publish_shared, read_json
from kinemill.store.home import Home
from kinemill.store.locks import current_user, lock, now
from kinemill.store.remote_sync import bring_new

Kind = Literal["release", "reject", "forget", "supersede", "merge", "withdraw"]

FORMAT = 1
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

    def to_json(self) -> Json:
        """Return the decision as a JSON object."""
        return dict(vars(self))

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
        """Check that the recording is one of its own, about which a user can decide.

        Raises:
            BadInput: An edit merged it into another one.
        """
        if self.decision == "merge":
            item = self.reason(task)
            problem = f"is {item['found']}"
            raise BadInput(self.name, problem, expected="a recording of its own", fix=item["fix"])


def _folder(home: Home, task: str) -> Path:
    return home.store / "decisions" / task


def decisions_elsewhere(home: Home, task: str) -> None:
    """Fetch the decisions of other machines."""
    bring_new(home, _folder(home, task))


def audit(home: Home, task: str) -> list[Decision]:
    """Return every decision of a task, oldest first.

    Raises:
        CorruptArtifact: a decision cannot be read; without it a rejected recording might be used.
    """
    return [_read(path) for path in sorted(_folder(home, task).glob("*.json"))]


def _read(path: Path) -> Decision:
    document = read_json(path)
    if document.pop("format", None) != FORMAT:
        raise CorruptArtifact(
            path, "is of another format", expected=f"format {FORMAT}", fix="update kinemill"
        )
    return Decision(**document)


def current_decisions(home: Home, task: str) -> dict[str, Decision]:
    """Return the current decision by content hash; recordings without one are omitted.

    A recording that is merged into another one counts as decided on, while that one is used.
    """
    last = {decision.recording: decision for decision in audit(home, task)}
    current = {hash_: item for hash_, item in last.items() if item.decision != "withdraw"}
    barred = {hash_ for hash_, item in current.items() if item.bars}
    for other, (hash_, edit) in merges(home, task).items():
        if edit.change and not barred & {other, hash_}:  # else the other is a recording again
            because = f"it continues {hash_[:16]}"
            about = (edit.number, other, edit.change.other_name, "merge")
            current[other] = Decision(*about, edit.who, edit.when, because)
    return current


def decide(
    home: Home, task: str, recording: tuple[str, str], decision: Kind, because: str
) -> Decision:
    """Record a decision about a recording permanently.

    Args:
        home: holds the decisions.
        task: name of the task.
        recording: content hash, and name at first ingest.
        decision: the decision.
        because: reason given by the user; may be empty.
    """
    folder = _folder(home, task)
    with lock(home, f"decisions-{task}"):
        decisions_elsewhere(home, task)
        number = max((int(path.stem) for path in folder.glob("*.json")), default=0) + 1
        made = Decision(number, *recording, decision, current_user(), now(), because)
        entry = {"format": FORMAT, **made.to_json()}
        publish_shared(home, folder / f"{number:06d}.json", entry)
    return made
