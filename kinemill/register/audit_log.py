"""Audit log of a task: user, version, time and reason of each change of the champion."""

import json
from dataclasses import dataclass

from kinemill.errors import BadInput, KinemillError
from kinemill.register import tags
from kinemill.register.alias_switch import Event
from kinemill.register.consistency import is_registered
from kinemill.register.ledger import Ledger, read_ledger
from kinemill.register.versions import CHAMPION
from kinemill.store.home import Home


@dataclass(frozen=True)
class Audit:
    """Audit trail of a task.

    Attributes:
        champion: number of the champion; None without one.
        events: oldest first.
        gaps: differences between MLflow and the ledger, with the fix, such as a champion alias
            that another MLflow client moved.
    """

    task: str
    champion: int | None
    events: list[Event]
    gaps: list[str]


def audit(home: Home, task: str) -> Audit:
    """Return the audit trail of a task.

    Raises:
        BadInput: The task has no version.
        CorruptArtifact: The ledger of the task is damaged.
    """
    gaps = list[str]()
    try:
        is_registered(home, task)  # completes a commit that a killed process left unfinished
    except KinemillError as error:
        gaps = [str(error)]
    ledger = read_ledger(home, task)
    events = audit_trail(ledger)
    if not events:
        raise BadInput(task, "has no version yet", fix=f"kinemill run {task}")
    return Audit(task, ledger.aliases.get(CHAMPION), events, gaps)


def audit_trail(ledger: Ledger) -> list[Event]:
    """Return the events of a task, oldest first."""
    keys = sorted(key for key in ledger.notes if key.startswith(tags.EVENT))
    return [Event(**json.loads(ledger.notes[key])) for key in keys]
