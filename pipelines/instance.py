"""Dagster's storage: in the home, configured by `dagster.yaml` of the project.

Where machines share a database (`KINEMILL_DATABASE`), runs, events and schedules are kept there.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import yaml

from kinemill.errors import BadInput
from kinemill.failures import check_databases
from kinemill.store.database import address_of, make_schema
from kinemill.store.home import Home
from kinemill.store.locks import lock
from kinemill_dagster.pipelines.project_files import place_settings, publish_settings, settings_file
from kinemill_dagster.resources.database_listeners import install_listeners, open_databases

_SHARED = (
    "KINEMILL_DAGSTER_STORAGE"  # variable with the schema, so that it is not written to a file
)


def prepare(home: Home) -> Path:
    """Put `dagster.yaml` into Dagster's folder, set DAGSTER_HOME to it, and return it.

    Raises:
        BadInput: The home cannot be written.
    """
    folder = home.dagster
    if home.root.exists() and not os.access(home.root, os.W_OK):
        raise BadInput(home.root, "cannot be written", fix="set KINEMILL_HOME to a writable folder")
    home.make()
    folder.mkdir(exist_ok=True)
    source = settings_file()
    if shared := address_of("dagster"):
        publish_settings(home, _shared_settings(source, shared))
    else:
        place_settings(home, source)
    os.environ["DAGSTER_HOME"] = str(folder)
    os.environ["KINEMILL_HOME"] = str(home.root)
    return folder


def _shared_settings(source: Path, database: str) -> bytes:
    """Return the content of `dagster.yaml` with a shared database in place of SQLite."""
    make_schema("dagster")
    os.environ[_SHARED] = database
    document = yaml.safe_load(source.read_bytes())
    document["storage"] = {"postgres": {"postgres_url": {"env": _SHARED}}}
    return yaml.safe_dump(document, sort_keys=False).encode()


@contextmanager
def open_instance(home: Home) -> Generator[dg.DagsterInstance]:
    """Open the persistent instance for runs in this process.

    Raises:
        CorruptArtifact: A database of Dagster is damaged.
    """
    prepare(home)
    install_listeners()
    with lock(home, "dagster"):  # creating the same tables concurrently fails
        check_databases(home)
        opened = dg.DagsterInstance.get()
    with opened as instance, open_databases():
        yield instance
