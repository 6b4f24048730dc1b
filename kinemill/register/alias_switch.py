"""The champion's alias: moved by compare-and-set, and every move is recorded.

The caller names the champion it expects; if that has changed, nothing moves. All of kinemill moves
it under the task's lock, which holds between machines that share a database. The record is written
before the alias moves (`kinemill.register.commit`). The audit trail is one tag of the registered
model for each event, so plain MLflow clients see it, too.
"""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from kinemill.errors import KinemillError
from kinemill.register import tags
from kinemill.register.ledger import Change
from kinemill.register.mlflow_tables import read_tables
from kinemill.register.versions import CHALLENGER, CHAMPION, aliases_of
from kinemill.store.home import Home
from kinemill.store.locks import current_user, lock, now
from kinemill.tracking import Tracking

What = Literal[
    "champion",
    "refused",
    "waiting",
    "approved",
    "promoted",
    "rolled back",
    "canary",
    "canary ended",
    "restored",
]
CROWNED = ("champion", "promoted")  # by the gate, by a person
MOVES = (*CROWNED, "rolled back")  # events after which another version reigns
_LONGEST = 1000  # characters of a reason; MLflow takes 5000 for all of an event


class ChampionChanged(KinemillError):
    """Another version became champion since it was looked up; nothing was moved."""

    exit_code = 1


@dataclass(frozen=True)
class Event:
    """One line of the audit trail.

    Attributes:
        at: ISO 8601, UTC.
        who: the person, or the user that a service runs as.
        what: what happened to the version.
        version: its number.
        before: the champion until then, or None.
        why: the reason that was given, or what decided.
    """

    at: str
    who: str
    what: What
    version: int
    before: int | None
    why: str

    @classmethod
    def of(cls, what: What, version: int, before: int | None, why: str) -> "Event":
        """Note what happens now, in the name of whoever this process works for."""
        return cls(now(), current_user(), what, version, before, why[:_LONGEST])


@contextmanager
def guarded(home: Home, task: str) -> Generator[None]:
    """Hold the lock under which a task's versions are decided about and its champion moves."""
    with lock(home, f"register-{task}"):
        yield


def crown(tracking: Tracking, task: str, version: int, expected: int | None) -> Change:
    """Return the change that makes a version champion in place of the expected one.

    Call it under `guarded`.

    Raises:
        ChampionChanged: another version is champion.
    """
    held = aliases_of(tracking.home, task)
    if held.get(CHAMPION) != expected:
        raise changed(task, held.get(CHAMPION), expected)
    aliases: dict[str, int | None] = {CHAMPION: version}
    if held.get(CHALLENGER) == version:  # it is challenger no more
        aliases[CHALLENGER] = None
    return Change(aliases=aliases, notes={tags.CHAMPION: str(version)})


def changed(task: str, found: int | None, expected: int | None) -> ChampionChanged:
    """Return the error that says who is champion now."""
    return ChampionChanged(
        task,
        f"the champion changed: now it is {_name(found)}",
        expected=_name(expected),
        fix=f"kinemill models {task} shows what there is; decide anew",
    )


def _name(number: int | None) -> str:
    return f"version {number}" if number else "none"


def same_event(one: Event, other: Event) -> bool:
    """Return whether an event repeats the one before it; a canary that grows does not."""
    grown = other.what == "canary" and one.why != other.why
    return (one.what, one.version, one.before) == (other.what, other.version, other.before) and (
        not grown
    )


def trail(tracking: Tracking, task: str) -> list[Event]:
    """Return what happened to the versions of a task, the oldest event first."""
    found = notes_of(tracking.home, task)
    keys = sorted(key for key in found if key.startswith(tags.EVENT))
    return [Event(**json.loads(found[key])) for key in keys]


def last_champion(tracking: Tracking, task: str) -> int | None:
    """Return which version was crowned last, though its alias or itself may be gone since."""
    noted = notes_of(tracking.home, task).get(tags.CHAMPION)
    if noted:
        return int(noted)
    crowned = tracking.client.search_model_versions(
        f"name = '{task}' and tags.`{tags.DECISION}` = '{CHAMPION}'",
        max_results=1,
        order_by=["version_number DESC"],
    )
    return int(crowned[0].version) if crowned else None


def notes_of(home: Home, task: str) -> dict[str, str]:
    """Return our tags of a registered model; none where there is no such model."""
    return read_tables(home, task).notes
