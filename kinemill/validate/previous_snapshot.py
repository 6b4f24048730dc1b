"""What was judged before: the snapshot of episodes published last, and its shards.

`store/index/<task>/episodes.json` names it, a cache: without it every recording is looked at.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from kinemill.errors import CorruptArtifact
from kinemill.ingest.index import load_index
from kinemill.ingest.recordings import reading_rules
from kinemill.ingest.snapshot import Snapshot
from kinemill.store import (
    SUMMARY,
    Artifact,
    ArtifactRef,
    as_json,
    aside_of,
    digest,
    index_path,
    open_ref,
    read_json,
)
from kinemill.store.atomic_write import Move
from kinemill.store.home import Home
from kinemill.store.shards import Nodes, Tree
from kinemill.task import Task
from kinemill.validate import table
from kinemill.validate.episodes import rules
from kinemill.validate.shard_results import open_shard

VERSION = 5  # of the published episodes
EPISODES = "episodes.json"
FORMAT = 1

Json = dict[str, Any]


@dataclass(frozen=True)
class PreviousSnapshot:
    """What was published last, by the same rules."""

    recordings: str
    tree: Tree
    artifact: Artifact


def stage_pointer(home: Home, task: str, by: str, artifact: Artifact) -> Move:
    """Write aside what was published last, and by which rules; return the move that keeps it."""
    path = index_path(home, task, EPISODES)
    aside = aside_of(path)
    document = {"format": FORMAT, "rules": by, "snapshot": artifact.ref.to_json()}
    aside.write_bytes(as_json(document))
    return Move(aside, path)


def last_shards(task: Task, home: Home) -> Tree | None:
    """Return the shards of the episodes published last, each with its `ref` and counts.

    None if they were made by other rules or from other recordings than the task has now.
    """
    previous, index = find_previous(home, task.name, made_by(task)), load_index(home, task.name)
    if previous is None or index is None or index[0].rules != digest(reading_rules(task)):
        return None
    return previous.tree if index[0].snapshot.digest == previous.recordings else None


def open_tree(home: Home, folder: Path) -> Tree:
    """Return the shards that published episodes list.

    Args:
        home: where they are kept.
        folder: of the published episodes.
    """

    def group(node: Json) -> Json:
        return read_json(open_ref(home, ArtifactRef.from_json(node["ref"])) / EPISODES)

    return Tree(read_json(folder / EPISODES), group)


def shards_of(home: Home, ref: ArtifactRef) -> Iterator[ArtifactRef]:
    """Yield the shards of published episodes in the order of their names.

    Raises:
        CorruptArtifact: the published episodes, or a group of their shards, are damaged.
    """
    for _, node in open_tree(home, open_ref(home, ref)).shards():
        yield ArtifactRef.from_json(node["ref"])


def inputs(task: Task, recordings: ArtifactRef) -> Json:
    """Return what the key of the published episodes is made of."""
    return {
        "recordings": recordings.digest,
        "rules": rules(task),
        "max_quarantined_share": task.validation.max_quarantined_share,
        "version": VERSION,
    }


def made_by(task: Task) -> str:
    """Return a digest of all of the task that the published episodes and checks follow from."""
    share = task.validation.max_quarantined_share
    return digest({"rules": rules(task), "max_quarantined_share": share, "version": VERSION})


def find_previous(home: Home, task: str, made_by: str) -> PreviousSnapshot | None:
    """Return what was published last; None if that is lost, or was made by other rules."""
    try:
        pointer = read_json(index_path(home, task, EPISODES))
        if pointer["format"] != FORMAT or pointer["rules"] != made_by:
            return None
        ref = ArtifactRef.from_json(pointer["snapshot"])
        folder = open_ref(home, ref)
        artifact = Artifact(ref, read_json(folder / SUMMARY), cached=True)
        recordings = read_json(folder / EPISODES)["recordings"]
        return PreviousSnapshot(recordings, open_tree(home, folder), artifact)
    except (FileNotFoundError, CorruptArtifact, KeyError, TypeError):
        return None  # it is only a cache


class PreviousResults:
    """What was judged before of the recordings in shards that have changed.

    Attributes:
        tree: shards of episodes as they were, if they are cut as the recordings are now.
        changed: entries of the recordings in shards that have changed, by shard.
        removed_shards: names of the shards of episodes that are no more.
        removed: hashes of the recordings that have left.
        sketches: number of sketches of all recordings that stay.
    """

    def __init__(self, home: Home, previous: PreviousSnapshot | None, snapshot: Snapshot) -> None:
        was, now = previous.tree if previous else None, snapshot.tree
        same_cuts = was is not None and was.cuts == now.cuts and not now.flat
        self.tree = was if same_cuts else None
        changed, self.removed_shards = _differences(self.tree, now)
        self.changed = {name: snapshot.shard(name) for name in changed}
        old = dict(was.shards()) if was and not self.tree else self._of_changed()
        opened = {
            name: open_shard(home, ArtifactRef.from_json(node["ref"])) for name, node in old.items()
        }
        self._tables = {name: shard.table for name, shard in opened.items()}
        self._items = {
            item["recording"]: (name, item)
            for name, shard in opened.items()
            for item in shard.recordings
        }
        stay = {entry["hash"] for entries in self.changed.values() for entry in entries}
        self.removed = frozenset(set(self._items) - stay)
        self.sketches = sum(node["sketches"] for node in (was.nodes() if was else {}).values())
        self.sketches -= sum(self._items[hash_][1]["sketches"] for hash_ in self.removed)

    def _of_changed(self) -> Nodes:
        """Return the old shards in place of which there are others now, or none."""
        names = [*self.changed, *self.removed_shards]
        nodes = {name: self.tree.shard(name) for name in names} if self.tree else {}
        return {name: node for name, node in nodes.items() if node}

    def find(self, entry: Json) -> Json | None:
        """Return what is kept of a recording, if it was read and decided as it is now."""
        _, item = self._items.get(entry["hash"], ("", None))
        if item is None or item["read"] != entry["ref"]["digest"]:
            return None
        return item if item.get("released") == entry.get("released") else None

    def rows(self, task: Task, items: Iterable[Json]) -> pl.DataFrame:
        """Return one row for each episode of recordings that were found."""
        ids: dict[str, list[str]] = {}
        for item in items:
            name, _ = self._items[item["recording"]]
            ids.setdefault(name, []).extend(episode["id"] for episode in item["episodes"])
        tables = [self._tables[n].filter(pl.col("episode").is_in(some)) for n, some in ids.items()]
        return pl.concat([table.empty(task), *tables])


def _differences(was: Tree | None, now: Tree, group: str = "") -> tuple[list[str], list[str]]:
    """Compare recordings with what was judged of them; groups that are as they were stay closed.

    Returns:
        names of the shards that are new or not as they were, and of those that are no more.
    """
    changed, removed = list[str](), list[str]()
    old, new = was.nodes(group) if was else {}, now.nodes(group)
    for name, node in new.items():
        if name in old and old[name]["recordings_digest"] == node["ref"]["digest"]:
            continue
        if len(name) == now.depth:
            changed.append(name)
            continue
        inner = _differences(was, now, name)
        changed, removed = [*changed, *inner[0]], [*removed, *inner[1]]
    for name in sorted(old.keys() - new.keys()):
        removed += [shard for shard, _ in was.below(name)] if was else []
    return changed, removed
