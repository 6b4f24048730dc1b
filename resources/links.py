"""URLs of kinemill's pages, on the same server as Dagster's (`pipelines/auth`)."""

from pathlib import Path

import dagster as dg

from kinemill.reports import PAGES
from kinemill.store.home import Home

PREFIX, TASKS = PAGES.rpartition("/")[0], PAGES
FILES = f"{PREFIX}/files"


def described(text: str, task: str) -> str:
    """Return the description of an asset, markdown, with links to the pages of its task."""
    return f"{text}\n\n[Versions of {task}]({TASKS}/{task}) · [start page](/)"


def report_link(home: Home, path: Path) -> dg.MetadataValue:
    """Return the link to a report in the store, served by `kinemill ui`."""
    inside = path.is_relative_to(home.store)
    if not inside:
        return dg.MetadataValue.path(str(path))
    return dg.MetadataValue.url(f"{FILES}/{path.relative_to(home.root).as_posix()}")


def version_link(task: str, number: int) -> dg.MetadataValue:
    """Return the link to the page of a version."""
    return dg.MetadataValue.url(f"{TASKS}/{task}/{number}")


def task_link(task: str) -> dg.MetadataValue:
    """Return the link to the page of a task's versions."""
    return dg.MetadataValue.url(f"{TASKS}/{task}")
