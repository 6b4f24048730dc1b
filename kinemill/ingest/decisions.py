"""What was decided about recordings, mostly by people: who, when and why, never changed afterwards.

One file a decision, `store/decisions/<task>/<number>.json`, numbered in order. The last decision
about a recording counts, until it is withdrawn:

- `release`: what the checks found in it no longer cuts or holds it;
- `reject`: it is never taken, though its bytes are kept;
- `forget`: it is never taken, and all that was kept of it is gone;
- `supersede`: it went on in a longer recording of the same name, which is taken in its place;
- `withdraw`: as if nothing had been decided.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kinemill.errors import CorruptArtifact
from kinemill.ingest.raw import Reason, reason
from kinemill.store import publish_shared, read_json
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
        """Whether the recording is not to be taken."""
        return self.decision in _BARRED

    @property
    def status(self) -> str:
        """What a recording is by a decision that bars it: rejected, forgotten or superseded."""
        return _BARRED[self.decision]

    def to_json(self) -> dict[str, Any]:
        """Return the decision as a JSON object."""
        return dict(vars(self))

    def reason(self, task: str) -> Reason:
        """Return why a file with this content is not taken."""
        undo = "forget {} {} --undo" if self.decision == "forget" else "quarantine {} undo {}"
        said = f", because: {self.because}" if self.because else ""
        return reason(
            self.status,
            "file",
            f"{self.status} by {self.who} on {self.when}{said}",
            expected="nothing: it was decided so",
            fix=f"kinemill {undo.format(task, self.recording[:16])} takes the decision back",
        )


def _folder(home: Home, task: str) -> Path:
    return home.store / "decisions" / task


def decisions_elsewhere(home: Home, task: str) -> None:
    """Learn of what was decided on other machines."""
    bring_new(home, _folder(home, task))


def audit(home: Home, task: str) -> list[Decision]:
    """Return every decision of a task, oldest first.

    Raises:
        CorruptArtifact: one of them cannot be read; to go on without it might take what a person
            rejected.
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
    """Return the decision that counts, by content hash; recordings without one are left out."""
    last = {decision.recording: decision for decision in audit(home, task)}
    return {hash_: item for hash_, item in last.items() if item.decision != "withdraw"}


def decide(
    home: Home, task: str, recording: tuple[str, str], decision: Kind, because: str
) -> Decision:
    """Note a decision about a recording for ever.

    Args:
        home: where decisions are kept.
        task: name of the task.
        recording: its content hash, and its name at first sight.
        decision: what was decided.
        because: why, in a person's words; may be empty.
    """
    folder = _folder(home, task)
    with lock(home, f"decisions-{task}"):
        decisions_elsewhere(home, task)
        number = max((int(path.stem) for path in folder.glob("*.json")), default=0) + 1
        made = Decision(number, *recording, decision, current_user(), now(), because)
        entry = {"format": FORMAT, **made.to_json()}
        publish_shared(home, folder / f"{number:06d}.json", entry)
    return made
