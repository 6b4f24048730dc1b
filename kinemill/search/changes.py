"""Which recordings changed since the view was last written, and what is known about each.

A position names the state of a task: the set of its recordings in the catalog, its episodes, its
decisions, and the folder of its memberships. A view remembers its set and the digests of the shards
of episodes that it shows, so that only changed recordings are read again.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kinemill import catalog
from kinemill.catalog import CatalogEntry, RecordingSet
from kinemill.ingest.decisions import Decision, audit
from kinemill.ingest.membership import Member, find_member
from kinemill.ingest.recordings import reading_rules
from kinemill.store import MANIFEST, ArtifactRef, digest, open_ref
from kinemill.store.home import Home
from kinemill.store.shards import Tree, name_of
from kinemill.task import Task
from kinemill.validate.previous_snapshot import find_previous, made_by, open_tree
from kinemill.validate.shard_results import EvaluatedRecording, read_evaluated

Nodes = dict[str, str]  # digest by name of a shard or group
_RANGE = 1000  # changed recordings whose entries are read together


@dataclass(frozen=True)
class Source:
    """What is known about one recording.

    Attributes:
        member: name, size and stored metadata.
        stamp: changes when the membership is written again.
        entry: entry of the catalog; None if the recording was not read under the present rules.
        evaluated: result of the checks; None if it was not validated under the present rules.
        decision: the current decision, or None.
    """

    member: Member
    stamp: int
    entry: CatalogEntry | None
    evaluated: EvaluatedRecording | None
    decision: Decision | None


@dataclass(frozen=True)
class Position:
    """State of a task's recordings; equal positions have equal rows.

    Attributes:
        recordings: digest of the set of recordings; None without one under the same rules.
        episodes: the episodes, or None.
        decisions: number of decisions.
        members: time of the last change of the folder of memberships, ns.
    """

    recordings: str | None = None
    episodes: ArtifactRef | None = None
    decisions: int = 0
    members: int = 0


@dataclass(frozen=True)
class ViewState:
    """What a view shows: a position, and the digests of the shards and groups of episodes."""

    position: Position = field(default_factory=Position)
    episodes: Nodes = field(default_factory=dict[str, str])


def rules_digest(task: Task) -> str:
    """Return a digest of the rules that the rows of a task depend on."""
    channels = {name: task.channels[name].unit for name in task.numbers}
    return digest([reading_rules(task), made_by(task), task.ingest.meta.name, channels])


def current_position(task: Task, home: Home, state: Position) -> Position:
    """Return the state of a task now.

    Args:
        task: the task.
        home: where its recordings are stored.
        state: position of the view under the same rules; it stands in for episodes that are lost.
    """
    head = catalog.read_head(home, task.name)
    current = head is not None and head.by.rules == digest(reading_rules(task))
    previous = find_previous(home, task.name, made_by(task))
    members = _folder(home, task)
    return Position(
        head.set if head and current else None,
        previous.artifact.ref if previous else _stored(home, state.episodes),
        sum(1 for _ in (home.store / "decisions" / task.name).glob("*.json")),
        members.stat().st_mtime_ns if members.is_dir() else 0,
    )


def _stored(home: Home, ref: ArtifactRef | None) -> ArtifactRef | None:
    """Return a reference if its artifact was not deleted."""
    return ref if ref and (home.root / ref.path / MANIFEST).is_file() else None


def _folder(home: Home, task: Task) -> Path:
    return home.store / "members" / task.name


class Changes:
    """Recordings whose rows may differ from those of a view.

    Attributes:
        state: what the view shows once it has these rows.
        changed: content hashes, sorted.
        removed: content hashes that the task no longer has.

    Args:
        task: the task.
        home: where its recordings are stored.
        position: state of the task.
        state: what the view shows now.
        stamps: stamp of each row of the view, by content hash.

    Raises:
        CorruptArtifact: A published snapshot is damaged.
    """

    def __init__(
        self,
        task: Task,
        home: Home,
        position: Position,
        state: ViewState,
        stamps: Mapping[str, int],
    ) -> None:
        self._task, self._home = task, home
        same = position.members == state.position.members
        self._stamps = stamps if same else _scan_members(_folder(home, task))
        self._decisions = audit(home, task.name)
        self._set = _open_set(task, home, position)
        self._episodes = self._open_episodes(position)
        episodes, shards = _compare(self._episodes, state.episodes)
        changed = {hash_ for hash_, stamp in self._stamps.items() if stamps.get(hash_) != stamp}
        changed |= self._changed_entries(state.position) | self._evaluated_hashes(shards)
        changed |= {item.recording for item in self._decisions[state.position.decisions :]}
        self.state = ViewState(position, episodes)
        self.changed = sorted(changed & self._stamps.keys())
        self.removed = stamps.keys() - self._stamps.keys()

    def _open_episodes(self, position: Position) -> Tree | None:
        if position.episodes is None:
            return None
        return open_tree(self._home, open_ref(self._home, position.episodes))

    def _changed_entries(self, earlier: Position) -> set[str]:
        """Return the recordings whose entries differ from those of the view, or all of them."""
        if self._set is None:
            return {*self._stamps} if earlier.recordings else set()
        if earlier.recordings is None:
            return {*self._stamps}
        change = catalog.change_of(self._home, self._task.name, earlier.recordings)
        return {*self._stamps} if change is None else self._set.changed_since(change)

    def _evaluated_hashes(self, shards: list[str]) -> set[str]:
        return {hash_ for name in shards for hash_ in self._evaluated_of(name)}

    def _evaluated_of(self, name: str) -> dict[str, EvaluatedRecording]:
        """Return the results of one shard by content hash."""
        node = self._episodes.shard(name) if self._episodes else None
        if node is None:
            return {}
        items = read_evaluated(self._home, ArtifactRef.from_json(node["ref"]))
        return {item.recording: item for item in items}

    def sources(self) -> Iterator[Source]:
        """Yield what is known about each changed recording, sorted by content hash."""
        decisions = {item.recording: item for item in self._decisions}
        current = {key: one for key, one in decisions.items() if one.decision != "withdraw"}
        name, evaluated = None, dict[str, EvaluatedRecording]()
        for hash_, entry in self._entries():
            member = find_member(self._home, self._task.name, hash_)
            if member is None:  # forgotten meanwhile; the next update removes it
                continue
            if self._episodes and name_of(hash_, self._episodes.cuts) != name:
                name = name_of(hash_, self._episodes.cuts)
                evaluated = self._evaluated_of(name)
            item = evaluated.get(hash_)
            item = item if item is not None and entry and _is_of(item, entry) else None
            yield Source(member, self._stamps[hash_], entry, item, current.get(hash_))

    def _entries(self) -> Iterator[tuple[str, CatalogEntry | None]]:
        """Yield each changed recording with its entry: few by one query each, many in ranges."""
        for start in range(0, len(self.changed), _RANGE):
            hashes = self.changed[start : start + _RANGE]
            if self._set is None:
                yield from ((hash_, None) for hash_ in hashes)
            elif len(self.changed) < _RANGE:
                yield from ((hash_, self._set.find(hash_)) for hash_ in hashes)
            else:
                entries = {one.hash: one for one in self._set.within(hashes[0], f"{hashes[-1]}0")}
                yield from ((hash_, entries.get(hash_)) for hash_ in hashes)


def _open_set(task: Task, home: Home, position: Position) -> RecordingSet | None:
    """Return the recordings of a position; None if the catalog does not have them."""
    if position.recordings is None:
        return None
    change = catalog.change_of(home, task.name, position.recordings)
    return None if change is None else RecordingSet(home, task.name, change)


def _is_of(item: EvaluatedRecording, entry: CatalogEntry) -> bool:
    """Return whether a result is that of an entry of the catalog."""
    return item.read == entry.ref.digest and item.released == entry.released


def _scan_members(folder: Path) -> dict[str, int]:
    """Return a stamp of each membership by content hash: an entry may be written again."""
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as listed:
        return {
            entry.name.removesuffix(".json"): entry.stat().st_mtime_ns
            for entry in listed
            if entry.name.endswith(".json") and not entry.name.startswith(".")
        }


def _compare(tree: Tree | None, state: Nodes) -> tuple[Nodes, list[str]]:
    """Compare a tree with the digests of its nodes that a view shows.

    Returns:
        digests of all nodes, and names of the shards that are new or changed.
    """
    nodes, changed = Nodes(), list[str]()

    def walk(tree: Tree, group: str) -> None:
        for name, node in tree.nodes(group).items():
            nodes[name] = node["ref"]["digest"]
            if state.get(name) == nodes[name]:
                below = {n: d for n, d in state.items() if n != name and n.startswith(name)}
                nodes.update(below)
            elif len(name) == tree.depth:
                changed.append(name)
            else:
                walk(tree, name)

    if tree:
        walk(tree, "")
    return nodes, changed
