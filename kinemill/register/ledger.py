"""Ledger of a task: its versions, aliases and decisions, as an ordered log in the store.

`store/registry/TASK/000001.json` and the files after it hold one record each and never change.
Their sum is the source of truth about the versions of a task. MLflow holds a copy for other
programs; `kinemill.register.consistency` compares it and `kinemill.register.rebuild` rebuilds it. A
record is on disk before MLflow changes. If a process dies in between, the next command completes
the copy.

Machines that share a database share the registry, and the ledger through the object store. Without
a shared database each home has its own registry and ledger.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TypeVar

from kinemill.errors import CorruptArtifact, KinemillError
from kinemill.register import tags
from kinemill.store import (
    Json,
    from_json_value,
    publish_json,
    publish_shared,
    read_json,
    to_json_value,
)
from kinemill.store.database import database
from kinemill.store.formats import Format
from kinemill.store.home import Home
from kinemill.store.remote_sync import bring_file, bring_new

V = TypeVar("V")
FORMAT = Format("registry record", 1)
_RESTORE = "restore it from a backup: kinemill admin restore"


class RegistryMismatch(KinemillError):
    """The registry in MLflow differs from the ledger in the store."""


@dataclass(frozen=True)
class NewVersion:
    """A version that a record adds.

    Attributes:
        run_id: id of the MLflow run that trained it.
        source: address of its files in MLflow.
    """

    number: int
    run_id: str
    source: str


@dataclass(frozen=True)
class Change:
    """One record: a change of a task's state. A value of None removes the name.

    Attributes:
        created: the new version; None if the record adds none.
        tags: tags by version number.
        descriptions: markdown by version number.
        aliases: version number by alias.
        notes: tags of the registered model, with audit trail.
    """

    created: NewVersion | None = None
    tags: Mapping[int, Mapping[str, str]] = field(default_factory=dict[int, Mapping[str, str]])
    descriptions: Mapping[int, str] = field(default_factory=dict[int, str])
    aliases: Mapping[str, int | None] = field(default_factory=dict[str, "int | None"])
    notes: Mapping[str, str | None] = field(default_factory=dict[str, "str | None"])


@dataclass
class Entry:
    """A version in the ledger."""

    run_id: str
    source: str
    tags: dict[str, str] = field(default_factory=dict[str, str])
    description: str = ""


@dataclass
class Ledger:
    """State of a task: the sum of its records."""

    task: str
    number: int = 0  # of the last record
    versions: dict[int, Entry] = field(default_factory=dict[int, Entry])
    aliases: dict[str, int] = field(default_factory=dict[str, int])
    notes: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, change: Change) -> None:
        """Apply one record."""
        self.number += 1
        if made := change.created:
            self.versions[made.number] = Entry(made.run_id, made.source)
        for number, stamped in change.tags.items():
            self.versions[number].tags.update(stamped)
        for number, text in change.descriptions.items():
            self.versions[number].description = text
        _update(self.aliases, change.aliases)
        _update(self.notes, change.notes)


def _update(state: dict[str, V], changed: Mapping[str, V | None]) -> None:
    for name, value in changed.items():
        if value is None:
            state.pop(name, None)
        else:
            state[name] = value


def without_events(notes: Mapping[str, V]) -> dict[str, V]:
    """Return the notes that MLflow shows: all but the audit trail."""
    return {name: value for name, value in notes.items() if not name.startswith(tags.EVENT)}


def ledger_folder(home: Home, task: str) -> Path:
    """Return the folder of the records of a task."""
    return home.ledgers / task


def ledger_tasks(home: Home) -> list[str]:
    """Return the tasks with a ledger, sorted."""
    return sorted(path.parent.name for path in home.ledgers.glob("*/000001.json"))


def changes(home: Home, task: str) -> Iterator[Change]:
    """Yield the records of a task, oldest first.

    Raises:
        CorruptArtifact: A record is damaged or missing.
    """
    folder = ledger_folder(home, task)
    _fetch_records(home, folder)
    for number, path in enumerate(sorted(folder.glob("[0-9]*.json")), start=1):
        if path.name != f"{number:06d}.json":
            raise CorruptArtifact(folder / f"{number:06d}.json", "is missing", fix=_RESTORE)
        document = FORMAT.open(path, read_json(path))
        if missing := [field.name for field in fields(Change) if field.name not in document]:
            raise CorruptArtifact(path, f"lacks {missing[0]!r}", fix=_RESTORE)
        yield from_json_value(document, Change, path)


def read_ledger(home: Home, task: str) -> Ledger:
    """Return the state of a task; empty without records.

    Raises:
        CorruptArtifact: A record is damaged or missing.
    """
    ledger = Ledger(task)
    for change in changes(home, task):
        try:
            ledger.add(change)
        except KeyError as error:
            where = ledger_folder(home, task) / f"{ledger.number:06d}.json"
            raise CorruptArtifact(
                where, f"names an unknown version {error}", fix=_RESTORE
            ) from error
    return ledger


def append(home: Home, task: str, change: Change) -> int:
    """Write the next record of a task to disk and return its number. Call under the lock."""
    number = next_number(home, task)
    publish(
        home, ledger_folder(home, task) / f"{number:06d}.json", FORMAT.stamp(to_json_value(change))
    )
    return number


def next_number(home: Home, task: str) -> int:
    """Return the number of the next record of a task. Call under the ledger's lock."""
    folder = ledger_folder(home, task)
    _fetch_records(home, folder)
    return sum(1 for _ in folder.glob("[0-9]*.json")) + 1


def publish(home: Home, path: Path, document: Json) -> None:
    """Write a file of a ledger, also to the object store if machines share the registry."""
    if database() is None:
        publish_json(path, document)
    else:
        publish_shared(home, path, document)


def has_file(home: Home, path: Path) -> bool:
    """Return whether a file of a ledger exists, after fetching it if the ledger is shared."""
    return path.is_file() if database() is None else bring_file(home, path)


def _fetch_records(home: Home, folder: Path) -> None:
    if database() is not None:
        bring_new(home, folder)
