"""Ingest index: the last snapshot of all recordings of a task, so that only changes are checked.

The catalog has the recordings, the digest of the rules by which they were read, and the decisions
that they include. `store/index/<task>/recordings.json` names the snapshot. It is removed when an
artifact of the task turns out to be damaged; then every recording is checked once, which also
repairs damaged ones. New recordings are noted in `store/pending/<task>.json` before they are
entered, so that a crash loses none.
"""

from collections.abc import Iterable
from pathlib import Path

from kinemill import catalog
from kinemill.catalog import CatalogHead
from kinemill.errors import CorruptArtifact
from kinemill.store import ArtifactRef, index_path, publish_json, read_json
from kinemill.store.home import Home

_INDEX = "recordings.json"


def load_index(home: Home, task: str) -> CatalogHead | None:
    """Return the last change of a task's recordings; None if all must be checked."""
    return catalog.read_head(home, task) if last_snapshot(home, task) else None


def last_snapshot(home: Home, task: str) -> ArtifactRef | None:
    """Return the last snapshot of all recordings of a task; None without an index."""
    try:
        return ArtifactRef.from_json(read_json(index_path(home, task, _INDEX))["snapshot"])
    except (FileNotFoundError, CorruptArtifact, KeyError, TypeError):
        return None  # the index is only a cache


def save_index(home: Home, task: str, snapshot: ArtifactRef) -> None:
    """Save the index of a published snapshot; all pending recordings are in it."""
    if last_snapshot(home, task) != snapshot:
        publish_json(index_path(home, task, _INDEX), {"snapshot": snapshot.to_json()})
    _pending(home, task).unlink(missing_ok=True)


def drop_index(home: Home, task: str) -> None:
    """Let the next ingest check every recording."""
    index_path(home, task, _INDEX).unlink(missing_ok=True)


def _pending(home: Home, task: str) -> Path:
    return home.store / "pending" / f"{task}.json"


def add_pending(home: Home, task: str, hashes: Iterable[str]) -> None:
    """Note recordings as pending before any of them is entered."""
    publish_json(_pending(home, task), sorted({*hashes, *pending(home, task)}))


def pending(home: Home, task: str) -> list[str]:
    """Return the recordings that an interrupted ingest left pending."""
    path = _pending(home, task)
    return read_json(path) if path.is_file() else []
