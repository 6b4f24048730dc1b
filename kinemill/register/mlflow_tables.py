"""Read the registry of a task from MLflow's tables, without importing MLflow, which takes 2 s."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kinemill.register import tags
from kinemill.register.ledger import Entry
from kinemill.store.home import Home
from kinemill.tracking.database import damaged_database, has_ledger, tracking_uri

_WAIT = 120.0  # s to wait for a locked database
_VERSIONS = """
SELECT version, run_id, source, description, creation_time FROM model_versions
WHERE name = :task AND current_stage != 'Deleted_Internal'
"""
_TAGS = "SELECT version, key, value FROM model_version_tags WHERE name = :task"
_NOTES = "SELECT key, value FROM registered_model_tags WHERE name = :task AND key LIKE :own"
_ALIASES = "SELECT alias, version FROM registered_model_aliases WHERE name = :task"


@dataclass
class Row(Entry):
    """A version in MLflow, including tags of other programs.

    Attributes:
        created: time of creation, s since the epoch.
        stored: tags in the form that MLflow stores, see `kinemill.register.tags.pack`.
    """

    created: float = 0.0
    stored: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def own_tags(self) -> dict[str, str]:
        """The tags of kinemill."""
        return {name: value for name, value in self.tags.items() if name.startswith(tags.OWN)}


@dataclass
class RegistryState:
    """State of a task in MLflow."""

    versions: dict[int, Row] = field(default_factory=dict[int, Row])
    aliases: dict[str, int] = field(default_factory=dict[str, int])
    notes: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def applied(self) -> int:
        """Number of the last applied ledger record; 0 if none."""
        recorded = self.notes.get(tags.APPLIED, "0")
        return int(recorded) if recorded.isdigit() else 0


def read_tables(home: Home, task: str) -> RegistryState:
    """Return the state of a task from MLflow's tables.

    A shared database in which MLflow has not created its tables yet has no versions.

    Raises:
        KinemillError: The database is damaged, or holds no registry.
    """
    from sqlalchemy.exc import DatabaseError, OperationalError, ProgrammingError

    try:
        return _read(home, task)
    except ProgrammingError as error:  # PostgreSQL: a table does not exist
        if has_ledger(home):
            raise damaged_database(home, "holds no registry") from error
        return RegistryState()
    except OperationalError as error:
        if "no such table" not in str(error) and "does not exist" not in str(error):
            raise  # locked, or the server does not respond
        raise damaged_database(home, "holds no registry") from error
    except (DatabaseError, ValueError, TypeError, OverflowError) as error:
        message = str(getattr(error, "orig", error)).splitlines()[0]
        raise damaged_database(home, f"is damaged ({message})") from error


def _read(home: Home, task: str) -> RegistryState:
    from sqlalchemy import text

    parameters = {"task": task, "own": f"{tags.OWN}%"}
    with connected(home) as connection:
        run: Any = lambda query: connection.execute(text(query), parameters)  # noqa: E731
        state = RegistryState()
        for number, run_id, source, description, created in run(_VERSIONS):
            state.versions[int(number)] = Row(
                run_id or "",
                source or "",
                description=description or "",
                created=(created or 0) / 1000.0,
            )
        for number, key, value in run(_TAGS):
            if row := state.versions.get(int(number)):
                row.stored[key] = value or ""
        for row in state.versions.values():
            row.tags = tags.unpack(row.stored)
        state.notes = {key: value for key, value in run(_NOTES)}
        state.aliases = {alias: int(number) for alias, number in run(_ALIASES)}
        return state


@contextmanager
def connected(home: Home) -> Generator[Any]:
    """Open MLflow's database for one transaction, and close it."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    uri = tracking_uri(home)
    connect_options = {"timeout": _WAIT} if uri.startswith("sqlite") else {}
    engine = create_engine(uri, poolclass=NullPool, connect_args=connect_options)
    with engine.begin() as connection:
        yield connection
