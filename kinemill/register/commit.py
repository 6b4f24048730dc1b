"""Commit a change of the registry: to the ledger first, then to MLflow.

A ledger record holds the decision with user, reason, time, and the champions before and after. It
is on disk before MLflow changes. MLflow stores the number of the last applied record. If a process
dies in between, the next command detects that and applies the record again. Applying a record is
idempotent.
"""

import json
from dataclasses import asdict, replace
from typing import Any

from kinemill.register import tags
from kinemill.register.alias_switch import Event, notes_of, same_event
from kinemill.register.ledger import (
    Change,
    RegistryMismatch,
    append,
    ledger_folder,
    next_number,
    read_ledger,
    without_events,
)
from kinemill.register.versions import CHAMPION
from kinemill.store.fault_injection import fault_point
from kinemill.store.locks import lock
from kinemill.tracking import Tracking


def commit(tracking: Tracking, task: str, change: Change, event: Event | None = None) -> None:
    """Record a change with its event for the audit trail, and apply it to MLflow.

    Call it under `guarded`, after `kinemill.register.consistency` compared ledger and MLflow.
    """
    # Write-ahead order: record, apply, mark as applied. A crash after any step can be completed.
    with lock(tracking.home, f"ledger-{task}"):
        if event is not None:
            change = replace(change, notes={**_note(tracking, task, event), **change.notes})
        _expect_applied(tracking, task)
        number = append(tracking.home, task, change)
        fault_point("register.recorded")
        apply(tracking, task, change)
        finish(tracking, task, number)


def _expect_applied(tracking: Tracking, task: str) -> None:
    """Raise unless MLflow shows all records.

    Raises:
        RegistryMismatch: MLflow was written from another ledger than that of this machine.
    """
    applied = notes_of(tracking.home, task).get(tags.APPLIED, "0")
    if applied != str(next_number(tracking.home, task) - 1):
        raise RegistryMismatch(
            ledger_folder(tracking.home, task),
            f"is not the ledger of the registry, which has {applied} records",
            fix="share KINEMILL_HOME, or the store with KINEMILL_REMOTE, among the machines",
        )


def _note(tracking: Tracking, task: str, event: Event) -> dict[str, str]:
    """Return the note of an event; empty if it repeats the last event."""
    notes = read_ledger(tracking.home, task).notes
    keys = sorted(key for key in notes if key.startswith(tags.EVENT))
    if keys and same_event(Event(**json.loads(notes[keys[-1]])), event):
        return {}
    return {f"{tags.EVENT}{len(keys) + 1:06d}": json.dumps(asdict(event))}


def apply(tracking: Tracking, task: str, change: Change) -> None:
    """Apply a recorded change to MLflow, in which its new version already exists.

    Events stay in the ledger: MLflow would list all of them among the tags of the model.
    """
    client = tracking.client
    _stamp(tracking, task, change)
    for number, text in change.descriptions.items():
        client.update_model_version(task, str(number), text)
    for name, value in without_events(change.notes).items():
        _set_note(client, task, name, value)
    fault_point("register.noted")
    for alias, number in sorted(change.aliases.items()):  # `champion` moves first
        if number is not None:
            client.set_registered_model_alias(task, alias, str(number))
        else:
            client.delete_registered_model_alias(task, alias)
        if alias == CHAMPION:
            fault_point("register.promoted")


def _stamp(tracking: Tracking, task: str, change: Change) -> None:
    """Write the changed tags of versions; hidden tags are stored as one."""
    versions = read_ledger(tracking.home, task).versions if change.tags else {}
    for number, stamped in change.tags.items():
        for name, value in tags.pack(versions[number].tags).items():
            if name in stamped or name == tags.INTERNAL:
                tracking.client.set_model_version_tag(task, str(number), name, value)


def _set_note(client: Any, task: str, name: str, value: str | None) -> None:
    if value is not None:
        client.set_registered_model_tag(task, name, value)
    elif name in client.get_registered_model(task).tags:
        client.delete_registered_model_tag(task, name)


def finish(tracking: Tracking, task: str, number: int) -> None:
    """Store in MLflow the number of the last applied record of a task."""
    tracking.client.set_registered_model_tag(task, tags.APPLIED, str(number))
