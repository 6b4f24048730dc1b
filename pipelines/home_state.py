"""State of a home that many web pages show, read again only after a change.

The caches hold what is in the home, never the response to a user: rights are checked before each
read, and what a user may not see is removed from the response.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path

from kinemill.register.audit_log import Event, read_events
from kinemill.register.lookup import VersionList
from kinemill.register.version_page import version_page
from kinemill.register.versions import CHAMPION, Version, VersionLine, versions_of
from kinemill.store.database import tracking_server
from kinemill.store.home import Home
from kinemill.store.versioned_cache import VersionedCache, database_version, file_version
from kinemill.task import Task, load_task
from kinemill.task.own_code import has_own_code
from kinemill.task.web_overrides import marked_values


@dataclass(frozen=True)
class RegisteredTask:
    """The registry of a task; empty for one without versions.

    Attributes:
        versions: newest first.
        listing: the same as a document.
        events: decisions, oldest first.
    """

    versions: list[Version] = field(default_factory=list[Version])
    listing: VersionList = field(default_factory=lambda: VersionList("", []))
    events: list[Event] = field(default_factory=list[Event])

    @property
    def champion(self) -> Version | None:
        """The champion, if there is one."""
        return next((version for version in self.versions if CHAMPION in version.aliases), None)


_REGISTRY = VersionedCache[RegisteredTask](256)
_TASKS = VersionedCache[Task | None](256)
_PAGES = VersionedCache[str](32)


def registered_task(home: Home, task: str) -> RegisteredTask:
    """Return the registry of a task.

    Raises:
        KinemillError: MLflow does not respond, or the database or the audit log is damaged.
    """

    def build() -> RegisteredTask:
        versions = versions_of(home, task)
        listing = VersionList(task, [VersionLine.of(version) for version in versions])
        return RegisteredTask(versions, listing, read_events(home, task))

    return _REGISTRY.get((home, task), lambda: _registry_version(home, task), build)


def version_page_of(home: Home, version: Version, decide: str) -> str:
    """Return the page of a version; `decide` is the URL of its form."""

    def content_version() -> Hashable:
        # A published artifact never changes; its folder may be deleted.
        folders = sorted(home.store.glob(f"*/{version.task}"))
        database = _registry_version(home, version.task)
        return database and (database, *((str(path), file_version(path)) for path in folders))

    key = home, version.name, decide
    return _PAGES.get(key, content_version, lambda: version_page(home, version, decide))


def valid_task(path: Path) -> Task:
    """Return the task of a file.

    Raises:
        TaskError: The file is invalid.
    """

    def build() -> Task | None:
        task = load_task(path)
        # Code and files that a task names can change without its file.
        has_files = any("/" in value or "." in value for _, value in marked_values(task))
        return None if has_files or has_own_code(task) else task

    return _TASKS.get(path, lambda: file_version(path), build) or load_task(path)


def _registry_version(home: Home, task: str) -> Hashable:
    if tracking_server():
        return None  # a server does not tell whether something changed
    database = database_version(home.mlflow_db, "mlflow")
    return database and (database, file_version(home.audit_logs / task))
