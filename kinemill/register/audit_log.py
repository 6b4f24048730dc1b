"""Audit log of a task: numbered records that never change, in `store/registry/TASK/`.

MLflow is the registry, and the log follows it, see `kinemill.register.alias_switch`. Machines that
share a database share the log through the object store.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from kinemill.errors import CorruptArtifact
from kinemill.store import Json, from_json_value, publish_json, publish_shared, read_json
from kinemill.store.database import database
from kinemill.store.documents import to_json_value
from kinemill.store.formats import Format
from kinemill.store.home import Home
from kinemill.store.locks import current_user, now
from kinemill.store.remote_sync import bring_file, bring_new

What = Literal[
    "champion",
    "refused",
    "waiting",
    "approved",
    "approved as breaking",
    "trials",
    "promoted",
    "rolled back",
    "moved in MLflow",
]
Status = Literal["open", "done", "interrupted"]
MOVED: What = "moved in MLflow"
TRIALS: What = "trials"
PROMOTED = frozenset[What]({"champion", "promoted", MOVED})
CHAMPION_CHANGES = PROMOTED | {"rolled back"}
APPROVED = frozenset[What]({"approved", "approved as breaking"})
UNKNOWN_USER = "unknown"
_FORMAT = Format("audit record", 1)
_LONGEST = 1000  # characters of a reason
_RESTORE = "restore it from a backup: kinemill admin restore"


@dataclass(frozen=True)
class Event:
    """One line of the audit log.

    Attributes:
        at: ISO 8601, UTC; of `moved in MLflow` the time when kinemill noticed it.
        who: user, or account of the service.
        what: type of the event.
        version: the version; None if the champion was removed.
        previous: the champion that it replaced, or None.
        why: the given reason, or the rules that decided.
        status: `open` while it is applied, `interrupted` if its process died before that.
        source: address of the version's files in MLflow, which never changes.
        files: sha256 of their list `sha256sums`; "" if another program registered the version.
        successes: number of successful trials on a robot, of `trials`.
        trials: number of counted trials on a robot.
    """

    at: str
    who: str
    what: What
    version: int | None
    previous: int | None
    why: str
    status: Status = "done"
    source: str = ""
    files: str = ""
    successes: int = 0
    trials: int = 0

    @property
    def label(self) -> str:
        """The type of the event with its counts, and with its status unless it is done."""
        counts = f": {self.successes} of {self.trials}" if self.what == TRIALS else ""
        return self.what + counts + ("" if self.status == "done" else f" ({self.status})")

    @classmethod
    def of(cls, what: What, version: int, previous: int | None, why: str) -> "Event":
        """Return a decision that is about to be applied, with the current time and user."""
        return cls(now(), current_user(), what, version, previous, why[:_LONGEST], "open")


def read_events(home: Home, task: str) -> list[Event]:
    """Return the recorded events of a task, oldest first.

    Raises:
        CorruptArtifact: A record is damaged or missing.
    """
    folder = _folder(home, task)
    events = list[Event]()
    if database() is not None:
        bring_new(home, folder)
    for number, path in enumerate(sorted(folder.glob("[0-9]*.json")), start=1):
        if path.name != f"{number:06d}.json":
            raise CorruptArtifact(folder / f"{number:06d}.json", "is missing", fix=_RESTORE)
        document = _FORMAT.open(path, read_json(path))
        if "what" in document:
            events.append(from_json_value(document, Event, path))
        elif events and "status" in document:
            events[-1] = replace(events[-1], status=document["status"])
        else:
            raise CorruptArtifact(path, "is neither an event nor a status", fix=_RESTORE)
    return events


def append_event(home: Home, task: str, event: Event) -> None:
    """Write an event to disk. Call it under the lock of the log."""
    _append(home, task, to_json_value(event))


def append_status(home: Home, task: str, status: Status) -> None:
    """Write the status of the last event to disk. Call it under the lock of the log."""
    _append(home, task, {"status": status})


def _append(home: Home, task: str, document: Json) -> None:
    folder = _folder(home, task)
    number = sum(1 for _ in folder.glob("[0-9]*.json")) + 1
    publish(home, folder / f"{number:06d}.json", _FORMAT.stamp(document))


def last_champion(events: Sequence[Event]) -> int | None:
    """Return the last recorded champion, None if it was removed."""
    for event in reversed(events):
        if event.what in CHAMPION_CHANGES and event.status == "done":
            return event.version
    return None


def recorded_files(home: Home, task: str, source: str) -> str:
    """Return the first recorded digest of the files at an address in MLflow; "" without one."""
    events = read_events(home, task)
    return next((event.files for event in events if event.source == source and event.files), "")


def publish(home: Home, path: Path, document: Json) -> None:
    """Write a file of the log, also to the object store if machines share the registry."""
    if database() is None:
        publish_json(path, document)
    else:
        publish_shared(home, path, document)


def has_file(home: Home, path: Path) -> bool:
    """Return whether a file of the log exists, after fetching it if the log is shared."""
    return path.is_file() if database() is None else bring_file(home, path)


def _folder(home: Home, task: str) -> Path:
    return home.audit_logs / task
