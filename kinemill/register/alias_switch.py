"""The champion alias: moved by compare-and-set, with a record of every move.

The caller names the expected champion; if the champion has changed, nothing moves. kinemill moves
the alias only under the task's lock, which machines that share a database share. The record, which
holds the event of the audit trail, is written before the alias moves (`kinemill.register.commit`).
"""

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
    "restored",
]
PROMOTED = ("champion", "promoted")  # by the gate, by a user
_LONGEST = 1000  # characters of a reason


class ChampionChanged(KinemillError):
    """Another version became champion since the lookup; the alias was not moved."""

    exit_code = 1


@dataclass(frozen=True)
class Event:
    """One line of the audit trail.

    Attributes:
        at: ISO 8601, UTC.
        who: user, or account of the service.
        what: type of the event.
        previous: the champion that it replaced, or None.
        why: the given reason, or the rules that decided.
    """

    at: str
    who: str
    what: What
    version: int
    previous: int | None
    why: str

    @classmethod
    def of(cls, what: What, version: int, previous: int | None, why: str) -> "Event":
        """Return an event with the current time and user."""
        return cls(now(), current_user(), what, version, previous, why[:_LONGEST])


@contextmanager
def guarded(home: Home, task: str) -> Generator[None]:
    """Hold the lock for decisions about a task's versions and for moving its champion alias."""
    with lock(home, f"register-{task}"):
        yield


def move_champion(tracking: Tracking, task: str, version: int, expected: int | None) -> Change:
    """Return the change that makes a version champion in place of the expected champion.

    Call it under `guarded`.

    Raises:
        ChampionChanged: Another version is champion.
    """
    aliases_now = aliases_of(tracking.home, task)
    if aliases_now.get(CHAMPION) != expected:
        raise changed(task, aliases_now.get(CHAMPION), expected)
    aliases: dict[str, int | None] = {CHAMPION: version}
    if aliases_now.get(CHALLENGER) == version:  # a champion is not challenger as well
        aliases[CHALLENGER] = None
    return Change(aliases=aliases, notes={tags.CHAMPION: str(version)})


def changed(task: str, current: int | None, expected: int | None) -> ChampionChanged:
    """Return the error that names the current champion."""
    return ChampionChanged(
        task,
        f"the champion changed: it is now {name_of_version(current)}",
        expected=name_of_version(expected),
        fix=f"list the versions with kinemill model list {task}, then repeat the command",
    )


def name_of_version(number: int | None) -> str:
    """Return `version 3`, or `none` without a version."""
    return f"version {number}" if number else "none"


def same_event(one: Event, other: Event) -> bool:
    """Return whether an event repeats the previous one."""
    return (one.what, one.version, one.previous) == (other.what, other.version, other.previous)


def last_champion(tracking: Tracking, task: str) -> int | None:
    """Return the last version that became champion, even if it or its alias was deleted."""
    recorded = notes_of(tracking.home, task).get(tags.CHAMPION)
    if recorded:
        return int(recorded)
    champions = tracking.client.search_model_versions(
        f"name = '{task}' and tags.`{tags.DECISION}` = '{CHAMPION}'",
        max_results=1,
        order_by=["version_number DESC"],
    )
    return int(champions[0].version) if champions else None


def notes_of(home: Home, task: str) -> dict[str, str]:
    """Return the kinemill tags of a registered model; empty if it does not exist."""
    return read_tables(home, task).notes
