"""Audit log: who made which version champion, when, from which one, and why."""

import json
from typing import Any

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
        task, champion, `events` (the oldest first: at, who, what, version, before, why), and
        `gaps`: in what MLflow shows something else, with the remedy; a champion that another MLflow
        client moved is one.

    Raises:
        BadInput: nothing was registered yet.
        CorruptArtifact: the ledger of the task is damaged.
    """
    gaps = list[str]()
    try:
        is_registered(home, task)  # which completes a commit that a killed process left
    except KinemillError as error:
        gaps = [str(error)]
    ledger = read_ledger(home, task)
    keys = sorted(key for key in ledger.notes if key.startswith(tags.EVENT))
    events: list[dict[str, Any]] = [json.loads(ledger.notes[key]) for key in keys]
    if not events:
        raise BadInput(task, "has no version yet", fix=f"kinemill run {task}")
    return {
        "task": task,
        "champion": ledger.aliases.get(CHAMPION),
        "events": events,
        "gaps": gaps,
    }
