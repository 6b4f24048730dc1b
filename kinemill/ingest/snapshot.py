"""Snapshot of a task's recordings, in shards, so that one new recording rewrites one shard.

Snapshot, groups and shards are artifacts. An entry is `{"hash", "name", "ref", "tracks", "rows",
"dropped_rows", "reasons"}`, the last four numbers, and `"released": true` for a recording that was
released manually.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from kinemill.ingest.recording_summary import RecordingSummary
from kinemill.store import (
    SUMMARY,
    Artifact,
    ArtifactRef,
    Json,
    canonical,
    digest,
    open_ref,
    read_json,
    write_json,
)
from kinemill.store.atomic_write import Move
from kinemill.store.home import Home
from kinemill.store.shards import (
    Nodes,
    Tree,
    amended,
    cuts_for,
    grouped,
    holds,
    listed,
    name_of,
    totals,
)
from kinemill.store.transaction import GetOrBuild, publish_all

VERSION = 3
STAGE, GROUP, SHARD = "recordings", "recordings_group", "recordings_shard"
SNAPSHOT, ENTRIES = "recordings.json", "entries.json"
NUMBERS = ("recordings", "quarantined", "tracks", "rows", "dropped_rows")


class Snapshot:
    """A published snapshot; shards are read on demand, each once.

    Raises:
        CorruptArtifact: the snapshot, or a group or shard on demand, is damaged.
    """

    def __init__(self, home: Home, ref: ArtifactRef) -> None:
        folder = open_ref(home, ref)
        self.artifact = Artifact(ref, read_json(folder / SUMMARY), cached=True)
        self.tree = Tree(read_json(folder / SNAPSHOT), self._group)
        self.shard = cache(self._shard)
        self._home = home

    def _group(self, node: Json) -> Json:
        return read_json(open_ref(self._home, ArtifactRef.from_json(node["ref"])) / SNAPSHOT)

    def _shard(self, name: str) -> list[Json]:
        node = self.tree.shard(name)
        return self._entries(node) if node else []

    def _entries(self, node: Json) -> list[Json]:
        return read_json(open_ref(self._home, ArtifactRef.from_json(node["ref"])) / ENTRIES)

    def __len__(self) -> int:
        return self.artifact.summary["recordings"]

    def __iter__(self) -> Iterator[Json]:
        """Yield the entries, sorted by hash, one shard at a time."""
        for _, node in self.tree.shards():
            yield from self._entries(node)

    def known_by(self, name: str) -> str:
        """Return the digest of a shard, or of a group of shards, that is in the snapshot."""
        tree, is_shard = self.tree, len(name) == self.tree.depth
        node = tree.shard(name) if is_shard else tree.nodes(name[:-1]).get(name)
        if node:
            return node["ref"]["digest"]
        # A small snapshot has no groups.
        return digest({at: one["ref"] for at, one in tree.shards() if at.startswith(name)})

    def find(self, hash_: str) -> Json | None:
        """Return the entry of a recording, or None."""
        shard = self.shard(name_of(hash_, self.tree.cuts))
        return next((entry for entry in shard if entry["hash"] == hash_), None)


def entry_of(hash_: str, name: str, artifact: Artifact, *, released: bool) -> Json:
    """Return the entry of one recording."""
    summary = RecordingSummary.of(artifact)
    entry = {
        "hash": hash_,
        "name": name,
        "ref": artifact.ref.to_json(),
        "tracks": len(summary.tracks),
        "rows": summary.rows,
        "dropped_rows": summary.dropped_rows,
        "reasons": len(summary.reasons),
    }
    return entry | ({"released": True} if released else {})


After = Callable[[Artifact], Sequence[Move]]


def publish(
    home: Home, task: str, entries: Iterable[Json], after: After = lambda _: ()
) -> Artifact:
    """Publish the snapshot of these recordings, then the moves of `after`."""
    every = list(entries)
    cuts = cuts_for(len(every))
    return _publish(home, task, None, cuts, grouped(every, cuts), after)


def amend(
    home: Home,
    task: str,
    previous: Snapshot,
    changes: Mapping[str, Json | None],
    after: After = lambda _: (),
) -> Artifact | None:
    """Publish a snapshot with changes; write only the shards that change and their groups.

    Args:
        home: holds the snapshots.
        task: name of the task.
        previous: the snapshot to change.
        changes: new entries by hash, None to remove a recording.
        after: moves that follow a new snapshot.

    Returns:
        the snapshot, the same one if nothing changes; None if it would be empty.
    """
    changes = {hash_: entry for hash_, entry in changes.items() if previous.find(hash_) != entry}
    if not changes:
        return previous.artifact
    cuts = previous.tree.cuts
    touched = sorted({name_of(hash_, cuts) for hash_ in changes})
    shards = {name: _amend_shard(previous.shard(name), name, changes) for name in touched}
    more = sum(len(shards[name]) - len(previous.shard(name)) for name in touched)
    if not len(previous) + more:
        return None
    if cuts_for(len(previous) + more) != cuts:
        unchanged = (entry for entry in previous if name_of(entry["hash"], cuts) not in shards)
        every = [*unchanged, *(entry for each in shards.values() for entry in each)]
        return publish(home, task, every, after)
    return _publish(home, task, previous.tree, cuts, shards, after)


def _amend_shard(shard: list[Json], name: str, changes: Mapping[str, Json | None]) -> list[Json]:
    """Return the entries of one shard after the changes, sorted by hash."""
    entries: dict[str, Json | None] = {entry["hash"]: entry for entry in shard}
    entries |= {hash_: entry for hash_, entry in changes.items() if holds(name, hash_)}
    return [entry for _, entry in sorted(entries.items()) if entry]


def _publish(
    home: Home,
    task: str,
    previous: Tree | None,
    cuts: int,
    shards: Mapping[str, list[Json]],
    after: After,
) -> Artifact:
    """Publish changed shards, remove empty ones, and publish the groups above them."""

    def make(get_or_build: GetOrBuild) -> Artifact:
        def group(name: str, nodes: Nodes) -> Json:
            return _node(_make_nodes(get_or_build, GROUP, task, listed(cuts, nodes, name)))

        nodes = {
            name: _make_shard(get_or_build, task, each) if each else None
            for name, each in shards.items()
        }
        root = amended(previous, cuts, nodes, group)
        return _make_nodes(get_or_build, STAGE, task, listed(cuts, root))

    return publish_all(home, make, after)


def _make_nodes(get_or_build: GetOrBuild, stage: str, task: str, content: Json) -> Artifact:
    below: Nodes = content.get("groups") or content["shards"]

    def build(folder: Path) -> Json:
        write_json(folder / SNAPSHOT, content)
        return totals(below.values(), NUMBERS)

    refs = {name: node["ref"]["digest"] for name, node in below.items()}
    kind = "groups" if "groups" in content else "shards"
    inputs = {"version": VERSION, "cuts": content["cuts"], kind: refs}
    return get_or_build(stage, task, inputs, build)


def _make_shard(get_or_build: GetOrBuild, task: str, entries: list[Json]) -> Json:
    spelled = canonical(entries)

    def build(folder: Path) -> Json:
        (folder / ENTRIES).write_text(f"{spelled}\n")
        return {
            "recordings": len(entries),
            "quarantined": sum(not entry["tracks"] for entry in entries),
            **totals(entries, ("tracks", "rows", "dropped_rows")),
        }

    inputs = {"version": VERSION, "entries": hashlib.sha256(spelled.encode()).hexdigest()}
    return _node(get_or_build(SHARD, task, inputs, build))


def _node(artifact: Artifact) -> Json:
    return {"ref": artifact.ref.to_json(), **artifact.summary}
