"""Links to the pages of kinemill (`pipelines/server/auth`) and MLflow, where a server serves them.

`kinemill ui` and the containers set the addresses for their runs; a run in a terminal finds them in
the home. `dagster dev` serves no page of kinemill, so its assets have paths and names in place of
links. `KINEMILL_MLFLOW_URL` names an MLflow server that a user started.
"""

import os
from pathlib import Path

import dagster as dg

from kinemill.reports import PAGES
from kinemill.store import Json, read_json
from kinemill.store.home import Home

PREFIX = PAGES.rpartition("/")[0]
TASKS = PAGES
FILES = f"{PREFIX}/files"
ADDRESSES = "addresses.json"  # addresses of the served pages by name
_VARIABLES = {"Dagster": "KINEMILL_DAGSTER_URL", "MLflow": "KINEMILL_MLFLOW_URL"}


def address_of(server: str, home: Home) -> str | None:
    """Return the address of the pages of kinemill's server `Dagster` or of `MLflow`, or None."""
    file = home.dagster / "servers" / ADDRESSES
    written: Json = read_json(file) if file.is_file() else {}
    return os.environ.get(_VARIABLES[server]) or written.get(server)


def described(text: str, task: str) -> str:
    """Return the description of an asset, markdown, with links to the pages of its task."""
    if not address_of("Dagster", Home.resolve()):
        return text
    return f"{text}\n\n[Versions of {task}]({TASKS}/{task}) · [start page](/)"


def report_link(home: Home, path: Path) -> dg.MetadataValue:
    """Return the link to a report in the store, or its path."""
    if not address_of("Dagster", home) or not path.is_relative_to(home.store):
        return dg.MetadataValue.path(str(path))
    return dg.MetadataValue.url(f"{FILES}/{path.relative_to(home.root).as_posix()}")


def version_link(home: Home, task: str, number: int) -> dg.MetadataValue | None:
    """Return the link to the page of a version, or None."""
    return dg.MetadataValue.url(f"{TASKS}/{task}/{number}") if address_of("Dagster", home) else None


def task_link(home: Home, task: str) -> dg.MetadataValue | None:
    """Return the link to the page of a task's versions, or None."""
    return dg.MetadataValue.url(f"{TASKS}/{task}") if address_of("Dagster", home) else None


def mlflow_link(home: Home, path: str, name: str) -> dg.MetadataValue:
    """Return the link to a page of MLflow, or the name of what it shows."""
    pages = address_of("MLflow", home)
    return dg.MetadataValue.url(f"{pages}/#/{path}") if pages else dg.MetadataValue.text(name)
