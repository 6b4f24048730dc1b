"""Dagster's storage: in the home, configured by `dagster.yaml`, never in the checkout.

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
from kinemill.store import publish_file
from kinemill.store.database import address_of, make_schema
from kinemill.store.home import Home, project_root
from kinemill.store.locks import lock
from kinemill_dagster.resources.dagster_api import open_uncaptured
from kinemill_dagster.resources.database_listeners import install_listeners

_SETTINGS = "dagster.yaml"
_SHARED = (
    "KINEMILL_DAGSTER_STORAGE"  # variable with the schema, so that it is not written to a file
)


def checkout() -> Path:
    """Return the folder of the Dagster project.

    Raises:
        BadInput: it was not found.
    """
    root = project_root()
    if root is None:
        raise BadInput("KINEMILL_PROJECT", "is not a checkout", fix="set it to a checkout")
    return root


def prepare(home: Home) -> Path:
    """Write `dagster.yaml` to Dagster's folder, set DAGSTER_HOME to it, and return it.

    Raises:
        BadInput: the home cannot be written.
    """
    folder = home.dagster
    if home.root.exists() and not os.access(home.root, os.W_OK):
        raise BadInput(home.root, "cannot be written", fix="set KINEMILL_HOME to a writable folder")
    home.make()
    settings = _settings()
    if not (folder / _SETTINGS).is_file() or (folder / _SETTINGS).read_bytes() != settings:
        publish_file(folder / _SETTINGS, settings)
    os.environ["DAGSTER_HOME"] = str(folder)
    os.environ["KINEMILL_HOME"] = str(home.root)
    return folder


def _settings() -> bytes:
    """Return the content of `dagster.yaml`; a shared database replaces SQLite."""
    settings = (checkout() / _SETTINGS).read_bytes()
    shared = address_of("dagster")
    if shared is None:
        return settings
    make_schema("dagster")
    os.environ[_SHARED] = shared
    document = yaml.safe_load(settings)
    document["storage"] = {"postgres": {"postgres_url": {"env": _SHARED}}}
    return yaml.safe_dump(document, sort_keys=False).encode()


@contextmanager
def open_instance(home: Home) -> Generator[dg.DagsterInstance]:
    """Open the persistent instance for runs in this process, without capturing its output.

    Capturing starts two processes per step and would hide the live view of a terminal.

    Raises:
        CorruptArtifact: a database of Dagster is damaged.
    """
    folder = prepare(home)
    install_listeners()
    with lock(home, "dagster"):  # creating the same tables concurrently fails
        check_databases(home)
        opened = open_uncaptured(folder)
    with opened as instance:
        yield instance
