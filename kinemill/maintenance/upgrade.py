"""Upgrade a home to the installed versions: Dagster storage, MLflow, and documents of kinemill.

Artifacts are addressed by content and never change. Memberships and the catalog can change, so they
are rewritten in the current format.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from kinemill.dataset import CATALOG
from kinemill.errors import BadInput, CorruptArtifact
from kinemill.ingest.membership import FORMAT as MEMBERSHIP
from kinemill.maintenance.sqlite_backup import copy_database, databases
from kinemill.store import Format, Json, fault_point, publish_json, read_json
from kinemill.store.database import database
from kinemill.store.home import FORMAT, STAMP, Home
from kinemill.store.locks import holders, lock
from kinemill.task.protocols import Progress
from kinemill.tracking import maintenance

# Documents to rewrite, and their paths in the store.
_CHANGING: tuple[tuple[Format, str], ...] = (
    (MEMBERSHIP, "members/*/*.json"),
    (CATALOG, "versions/*/*/*.json"),
)


@dataclass(frozen=True)
class Part:
    """A part of a home with its own version.

    Attributes:
        name: displayed name.
        target: version of the installed packages.
        is_readable: whether the installed packages can read the current version.
    """

    name: str
    current: str
    target: str
    is_readable: bool = True

    @property
    def is_outdated(self) -> bool:
        """Whether the part needs an upgrade."""
        return self.current != self.target


class Storage(Protocol):
    """Protocol of a storage in the home that another library upgrades."""

    def parts(self) -> Sequence[Part]:
        """Return the parts of the storage."""
        ...

    def upgrade(self) -> None:
        """Upgrade all parts."""
        ...


class Mlflow:
    """MLflow's database."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def parts(self) -> Sequence[Part]:
        """Return the database, if it exists."""
        if not self._home.has_registry:
            return ()
        return (Part("MLflow's database", *maintenance.revision(self._home)),)

    def upgrade(self) -> None:
        """Run MLflow's own migrations."""
        maintenance.upgrade(self._home)


class Documents:
    """Documents of kinemill that can change, and the home as a whole."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def parts(self) -> Sequence[Part]:
        """Return each kind of document with its formats."""
        if not self._home.store.is_dir() and not self._home.has_registry:
            return ()  # an empty home
        parts = [Part("home", str(self._home.format), str(FORMAT))]
        if not (self._home.root / STAMP).is_file():
            parts = [Part("home", "not noted", str(FORMAT))]
        for form, where in _CHANGING:
            counts = Counter(number for _, number in _read_formats(self._home, where))
            text = ", ".join(f"{number} ({count})" for number, count in sorted(counts.items()))
            if set(counts) - {form.number}:
                is_readable = max(counts) <= form.number and min(counts) >= form.number - 1
                parts.append(Part(f"{form.kind}", text, str(form.number), is_readable))
            elif counts:
                parts.append(Part(form.kind, str(form.number), str(form.number)))
        return parts

    def upgrade(self) -> None:
        """Rewrite documents of the previous format, each atomically."""
        for form, where in _CHANGING:
            for path, number in _read_formats(self._home, where):
                if number != form.number:
                    publish_json(path, form.stamp(form.open(path, read_json(path))))
                    fault_point("upgrade.document")
        publish_json(self._home.root / STAMP, {"format": FORMAT})


def _read_formats(home: Home, where: str) -> Iterator[tuple[Path, int]]:
    for path in sorted(home.store.glob(where)):
        document = read_json(path)
        number = document.get("format", 1) if isinstance(document, dict) else None
        if not isinstance(number, int):
            raise CorruptArtifact(path, "has no format", fix="restore it from a backup")
        yield path, number


def upgrade(home: Home, orchestrator: Storage, progress: Progress, *, saved: bool = False) -> Json:
    """Upgrade all parts of a home to the installed versions, after a backup.

    Nothing changes if nothing is outdated, so it can be called at any time. After a kill, the next
    call continues.

    Args:
        home: the home; no process can use it.
        orchestrator: storage of Dagster.
        progress: receives messages.
        saved: whether the user has backed up a shared database, which is not backed up here.

    Returns:
        The document of `kinemill admin upgrade`.

    Raises:
        BadInput: A process uses the home, a part has a newer version, or a shared database is not
            backed up.
    """
    if working := [holder for holder in holders(home) if holder.lock != "maintenance"]:
        who = ", ".join(f"{one.command} ({one.pid}), {one.lock}" for one in working[:3])
        raise BadInput(home.root, f"is in use by {who}", fix="stop these processes first")
    storages = [orchestrator, Mlflow(home), Documents(home)]
    with lock(home, "maintenance", progress.log_message):
        parts = [part for storage in storages for part in storage.parts()]
        _refuse_newer(home, parts)
        outdated = [one for one in storages if any(part.is_outdated for part in one.parts())]
        backup = None
        if outdated:
            backup = _back_up(home, saved=saved)
            for storage in outdated:
                progress.log_message(
                    ", ".join(f"{part.name}: {part.current}" for part in storage.parts())
                )
                storage.upgrade()
                fault_point("upgrade.storage")
        after = {part.name: part.current for storage in storages for part in storage.parts()}
    parts = [
        {"part": part.name, "before": part.current, "after": after.get(part.name, part.target)}
        for part in parts
    ]
    status = "done" if outdated else "unchanged"
    return {"home": str(home.root), "status": status, "backup": backup, "parts": parts}


def _refuse_newer(home: Home, parts: Sequence[Part]) -> None:
    if newer := [part for part in parts if not part.is_readable]:
        text = "; ".join(f"{part.name} is at {part.current}" for part in newer)
        raise BadInput(
            home.root,
            f"{text}, which the installed versions cannot read",
            expected=", ".join(part.target for part in newer),
            fix="newer versions wrote it: update these packages, or restore a backup",
        )


def _back_up(home: Home, *, saved: bool) -> str | None:
    """Copy the databases to a folder in the home; return its path."""
    if database() is not None and not saved:
        fix = "back it up with pg_dump, then: kinemill admin upgrade --saved"
        raise BadInput("the shared database", "is not backed up by this command", fix=fix)
    to = home.root / "backups" / f"before-upgrade-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    copied = list(databases(home))
    for path in copied:
        copy = to / path.relative_to(home.root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy_database(path, copy)
    return str(to) if copied else None
