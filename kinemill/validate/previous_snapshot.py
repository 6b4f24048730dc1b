"""The last published episodes of a task and their shards.

`store/index/<task>/episodes.json` points to them. It is a cache: without it, a run looks at every
recording.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kinemill.catalog import CatalogEntry
from kinemill.errors import CorruptArtifact
from kinemill.ingest.index import load_index
from kinemill.ingest.recordings import reading_rules
from kinemill.ingest.snapshot import Snapshot
from kinemill.store import (
    SUMMARY,
    Artifact,
    ArtifactRef,
    Json,
    as_json,
    aside_of,
    digest,
    index_path,
    open_ref,
    read_document,
    read_json,
    to_json_value,
)
from kinemill.store.atomic_write import Move
from kinemill.store.home import Home
from kinemill.store.shards import Nodes, Tree, bounds, cuts_for, grouped, name_of
from kinemill.task import Task
from kinemill.validate import table
from kinemill.validate.episodes import rules
from kinemill.validate.shard_results import EvaluatedRecording, open_shard

VERSION = 7  # of the published episodes
EPISODES = "episodes.json"
FORMAT = 2


@dataclass(frozen=True)
class PreviousSnapshot:
    """The last published episodes, if the same rules made them."""

    recordings: str  # digest of the snapshot
    set: str  # digest of its set of entries
    tree: Tree
    artifact: Artifact


@dataclass(frozen=True)
class Pointer:
    """Reference to the last published episodes, with the digest of the rules that made them."""

    format: int
    rules: str
    snapshot: ArtifactRef


def stage_pointer(home: Home, task: str, rules_digest: str, artifact: Artifact) -> Move:
    """Write the pointer to the published episodes aside; return the move that publishes it."""
    path = index_path(home, task, EPISODES)
    aside = aside_of(path)
    aside.write_bytes(as_json(to_json_value(Pointer(FORMAT, rules_digest, artifact.ref))))
    return Move(aside, path)


def latest_episodes(home: Home, task: str) -> ArtifactRef | None:
    """Return the last published episodes of a task, by any rules."""
    path = index_path(home, task, EPISODES)
    return read_document(path, Pointer).snapshot if path.is_file() else None


def last_shards(task: Task, home: Home) -> Tree | None:
    """Return the shards of the last published episodes, each with its `ref` and counts.

    None if other rules or other recordings than the current ones made them.
    """
    previous, head = find_previous(home, task.name, made_by(task)), load_index(home, task.name)
    if previous is None or head is None or head.by.rules != digest(reading_rules(task)):
        return None
    return previous.tree if head.set == previous.set else None


def open_tree(home: Home, folder: Path) -> Tree:
    """Return the shards that published episodes list.

    Args:
        home: where they are stored.
        folder: folder of the published episodes.
    """

    def group(node: Json) -> Json:
        return read_json(open_ref(home, ArtifactRef.from_json(node["ref"])) / EPISODES)

    return Tree(read_json(folder / EPISODES), group)


def shards_of(home: Home, ref: ArtifactRef) -> Iterator[ArtifactRef]:
    """Yield the shards of published episodes in the order of their names.

    Raises:
        CorruptArtifact: The published episodes, or a group of their shards, are damaged.
    """
    for _, node in open_tree(home, open_ref(home, ref)).shards():
        yield ArtifactRef.from_json(node["ref"])


def inputs(task: Task, recordings: ArtifactRef) -> Json:
    """Return the inputs of the artifact key of the published episodes."""
    return {"recordings": recordings.digest, **_rules_of(task)}


def made_by(task: Task) -> str:
    """Return a digest of the parts of the task that determine published episodes and checks."""
    return digest(_rules_of(task))


def _rules_of(task: Task) -> Json:
    share = task.validation.max_quarantined_share
    return {"rules": rules(task), "max_quarantined_share": share, "version": VERSION}


def find_previous(home: Home, task: str, made_by: str) -> PreviousSnapshot | None:
    """Return the last published episodes; None if they are lost, or other rules made them."""
    try:
        pointer = read_document(index_path(home, task, EPISODES), Pointer)
        if pointer.format != FORMAT or pointer.rules != made_by:
            return None
        folder = open_ref(home, pointer.snapshot)
        artifact = Artifact(pointer.snapshot, read_json(folder / SUMMARY), cached=True)
        document = read_json(folder / EPISODES)
        about = (document["recordings"], document["set"])
        return PreviousSnapshot(*about, open_tree(home, folder), artifact)
    except (FileNotFoundError, CorruptArtifact, KeyError, TypeError):
        return None  # it is only a cache


class PreviousResults:
    """Previous results of the recordings in changed shards.

    Attributes:
        tree: previous shards, if the set is cut as before.
        changed: entries of the recordings in changed shards, by shard.
        removed_shards: names of the shards that no longer exist.
        removed: hashes of the recordings that no longer belong to the task.
        sketches: number of sketches of the remaining recordings.
    """

    def __init__(self, home: Home, previous: PreviousSnapshot | None, snapshot: Snapshot) -> None:
        was, cuts = previous.tree if previous else None, cuts_for(len(snapshot))
        hashes = snapshot.changed_since(previous.set) if previous else None
        self.tree = was if was and was.cuts == cuts and hashes is not None else None
        self.changed, self.removed_shards = _changed_shards(self.tree, snapshot, cuts, hashes)
        old = dict(was.shards()) if was and not self.tree else self._of_changed()
        opened = {
            name: open_shard(home, ArtifactRef.from_json(node["ref"])) for name, node in old.items()
        }
        self._tables = {name: shard.table for name, shard in opened.items()}
        self._items = {
            item.recording: (name, item)
            for name, shard in opened.items()
            for item in shard.recordings
        }
        remaining = {entry.hash for entries in self.changed.values() for entry in entries}
        self.removed = frozenset(set(self._items) - remaining)
        self.sketches = sum(node["sketches"] for node in (was.nodes() if was else {}).values())
        self.sketches -= sum(self._items[hash_][1].sketches for hash_ in self.removed)

    def _of_changed(self) -> Nodes:
        """Return the previous nodes of changed and removed shards."""
        names = [*self.changed, *self.removed_shards]
        nodes = {name: self.tree.shard(name) for name in names} if self.tree else {}
        return {name: node for name, node in nodes.items() if node}

    def find(self, entry: CatalogEntry) -> EvaluatedRecording | None:
        """Return the previous result of a recording, if ingest and release are unchanged."""
        _, item = self._items.get(entry.hash, ("", None))
        if item is None or item.read != entry.ref.digest:
            return None
        return item if item.released == entry.released else None

    def rows(self, task: Task, items: Iterable[EvaluatedRecording]) -> pl.DataFrame:
        """Return one row per episode of recordings that `find` returned."""
        ids: dict[str, list[str]] = {}
        for item in items:
            name, _ = self._items[item.recording]
            ids.setdefault(name, []).extend(episode.id for episode in item.episodes)
        tables = [self._tables[n].filter(pl.col("episode").is_in(some)) for n, some in ids.items()]
        return pl.concat([table.empty(task), *tables])


def _changed_shards(
    tree: Tree | None, snapshot: Snapshot, cuts: int, hashes: set[str] | None
) -> tuple[dict[str, list[CatalogEntry]], list[str]]:
    """Return the entries of new and changed shards by name, and the names of removed shards.

    Args:
        tree: the previous shards; None if all are made anew.
        snapshot: the recordings.
        cuts: how many times the set is cut.
        hashes: content hashes of the entries that differ from the previous set.
    """
    if tree is None or hashes is None:
        return grouped(snapshot, cuts, lambda entry: entry.hash), []
    names = sorted({name_of(hash_, cuts) for hash_ in hashes})
    entries = {name: snapshot.within(*bounds(name)) for name in names}
    changed = {name: each for name, each in entries.items() if each}
    return changed, [name for name in names if name not in changed and tree.shard(name)]
