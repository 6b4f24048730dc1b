"""Audit log of a task: who made which version champion, when, and why."""

import json

from kinemill.errors import BadInput, KinemillError
from kinemill.register import tags
from kinemill.register.consistency import is_registered
from kinemill.register.ledger import read_ledger
from kinemill.register.versions import CHAMPION
from kinemill.store import Json
from kinemill.store.home import Home


def audit(home: Home, task: str) -> Json:
    """Return the audit trail of a task.

    Returns:
        task, champion, `events` (oldest first: at, who, what, version, previous, why), and `gaps`:
        differences between MLflow and the ledger, with the fix, such as a champion alias that
        another MLflow client moved.

    Raises:
        BadInput: the task has no version.
        CorruptArtifact: the ledger of the task is damaged.
    """
    gaps = list[str]()
    try:
        is_registered(home, task)  # completes a commit that a killed process left unfinished
    except KinemillError as error:
        gaps = [str(error)]
    ledger = read_ledger(home, task)
    keys = sorted(key for key in ledger.notes if key.startswith(tags.EVENT))
    events: list[Json] = [json.loads(ledger.notes[key]) for key in keys]
    if not events:
        raise BadInput(task, "has no version yet", fix=f"kinemill run {task}")
    return {
        "task": task,
        "champion": ledger.aliases.get(CHAMPION),
        "events": events,
        "gaps": gaps,
    }
