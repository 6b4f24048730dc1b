"""Decisions about recordings, mostly manual: who, when and why. They are never changed.

One file per decision, `store/decisions/<task>/<number>.json`, numbered in order. The last decision
about a recording is current until it is withdrawn:

- `release`: checks no longer cut or quarantine it;
- `reject`: it is excluded, and its bytes are kept;
- `forget`: it is excluded, and its stored data is deleted;
- `supersede`: a longer recording of the same name replaces it;
- `withdraw`: the previous decision no longer applies.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kinemill.errors import CorruptArtifact
from kinemill.ingest.raw import Reason, reason
from kinemill.store import Json, publish_shared, read_json
from kinemill.store.home import Home
from kinemill.store.locks import current_user, lock, now
from kinemill.store.remote_sync import bring_new

Kind = Literal["release", "reject", "forget", "supersede", "withdraw"]

FORMAT = 1
_BARRED = {"reject": "rejected", "forget": "forgotten", "supersede": "superseded"}
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
        undo = "forget {} {} --undo" if self.decision == "forget" else "quarantine {} undo {}"
        said = f", because: {self.because}" if self.because else ""
        return reason(
            self.status,
            "file",
            f"{self.status} by {self.who} on {self.when}{said}",
            expected="nothing: the decision excludes it",
            fix=f"kinemill {undo.format(task, self.recording[:16])} withdraws the decision",
        )


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
    """Return the current decision by content hash; recordings without one are omitted."""
    last = {decision.recording: decision for decision in audit(home, task)}
    return {hash_: item for hash_, item in last.items() if item.decision != "withdraw"}


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
