"""Ingest index: names the snapshot of all recordings of a task, so that no full listing is needed.

`store/index/<task>/recordings.json` names the snapshot, the digest of the ingest rules and the
decisions it includes. New recordings are noted in `store/pending/<task>.json` before they are
entered, so that a crash loses none. Without the index, every recording is checked once, which also
repairs damaged ones.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kinemill.errors import CorruptArtifact
from kinemill.ingest.snapshot import Snapshot
from kinemill.store import ArtifactRef, Json, as_json, aside_of, index_path, publish_json, read_json
from kinemill.store.atomic_write import Move
from kinemill.store.home import Home

FORMAT = 1
_INDEX = "recordings.json"


@dataclass(frozen=True)
class Index:
    """A snapshot, the digest of its ingest rules, and the decisions it includes."""

    rules: str
    snapshot: ArtifactRef
    barred: frozenset[str] = frozenset()
    released: frozenset[str] = frozenset()


def load_index(home: Home, task: str) -> tuple[Index, Snapshot] | None:
    """Return the index of a task and its snapshot; None if either is missing or damaged."""
    try:
        document = read_json(index_path(home, task, _INDEX))
        if document["format"] != FORMAT:
            return None
        ref = ArtifactRef.from_json(document["snapshot"])
        sets = (frozenset(document["barred"]), frozenset(document["released"]))
        return Index(document["rules"], ref, *sets), Snapshot(home, ref)
    except (FileNotFoundError, CorruptArtifact, KeyError, TypeError):
        return None  # the index is only a cache


def save_index(home: Home, task: str, index: Index) -> None:
    """Save the index of a published snapshot."""
    publish_json(index_path(home, task, _INDEX), _document(index))


def stage_index(home: Home, task: str, index: Index) -> Move:
    """Write the index to a temporary file, and return the move that publishes it."""
    path = index_path(home, task, _INDEX)
    aside = aside_of(path)
    aside.write_bytes(as_json(_document(index)))
    return Move(aside, path)


def _document(index: Index) -> Json:
    return {
        "format": FORMAT,
        "rules": index.rules,
        "snapshot": index.snapshot.to_json(),
        "barred": sorted(index.barred),
        "released": sorted(index.released),
    }


def clear_pending(home: Home, task: str) -> None:
    """Clear the pending recordings: the index includes all of them."""
    _pending(home, task).unlink(missing_ok=True)


def _pending(home: Home, task: str) -> Path:
    return home.store / "pending" / f"{task}.json"


def add_pending(home: Home, task: str, hashes: Iterable[str]) -> None:
    """Note recordings as pending before any of them is entered."""
    publish_json(_pending(home, task), sorted({*hashes, *pending(home, task)}))


def pending(home: Home, task: str) -> list[str]:
    """Return the recordings that an interrupted ingest left pending."""
    path = _pending(home, task)
    return read_json(path) if path.is_file() else []
