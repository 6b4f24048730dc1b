"""Dagster's SQLite storage with a longer timeout for locked databases."""

import sqlite3
from typing import Any

from dagster import StringSource
from dagster._config.config_schema import UserConfigSchema
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from kinemill.store.disk_space import full_system
from kinemill.store.home import Home

WAIT = 120  # s; the longest backup of a database that was ever waited for is far below


class PatientStorage(DagsterSqliteStorage):
    """Dagster's own storage, whose connections wait for a lock instead of failing after 5 s.

    A run would end half-way because somebody copies a database, or looks into it with an open
    transaction. The same holds for MLflow's database in the process of a run, not in a training:
    that keeps its numbers in memory meanwhile.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        if not event.contains(Engine, "connect", _be_patient):
            event.listen(Engine, "connect", _be_patient)
            event.listen(Engine, "handle_error", _explain)
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """Return the config schema for `dagster.yaml`."""
        return {"base_dir": StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> "PatientStorage":
        """Open the storage at the location in `dagster.yaml`."""
        return cls.from_local(config_value["base_dir"], inst_data)


def _be_patient(connection: Any, _record: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute(f"PRAGMA busy_timeout = {WAIT * 1000}")


def _explain(context: ExceptionContext) -> None:
    """Raise the error of a full disk in place of SQLite's, which names neither file nor disk."""
    home = Home.find().root
    if not isinstance(context.original_exception, sqlite3.Error) or not home.is_dir():
        return
    if full := full_system(home):
        context.chained_exception = full
