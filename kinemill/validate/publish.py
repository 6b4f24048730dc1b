"""Publish the episodes: shards under groups under one artifact, each with a summary."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from kinemill.ingest.snapshot import Snapshot
from kinemill.store import (
    Artifact,
    ArtifactRef,
    Json,
    digest,
    from_json_value,
    summary_of,
    to_json_value,
    write_json,
)
from kinemill.store.atomic_write import Move
from kinemill.store.home import Home
from kinemill.store.shards import Nodes, Tree, amended, cuts_for, listed
from kinemill.store.transaction import GetOrBuild, publish_all
from kinemill.task import Task
from kinemill.validate import merge
from kinemill.validate.check_results import CheckResult
from kinemill.validate.duplicates.registry import DuplicatePairs
from kinemill.validate.episodes import rules
from kinemill.validate.merge import PartSummary
from kinemill.validate.previous_snapshot import EPISODES, VERSION, inputs
from kinemill.validate.shard_results import Shard, make_shard
from kinemill.validate.summary import describe

STAGE, GROUP = "episodes", "episodes_group"

ShardChecks = tuple[Shard, list[CheckResult]]  # a shard with its Great Expectations results


class Publisher:
    """Publishes the evaluated recordings of a snapshot."""

    def __init__(self, task: Task, home: Home, snapshot: Snapshot) -> None:
        self._task, self._home, self._snapshot = task, home, snapshot
        self._rules = rules(task)
        self._summaries: dict[ArtifactRef, PartSummary] = {}  # of new artifacts

    def shards(self, pending: Mapping[str, ShardChecks]) -> Nodes:
        """Publish shards by name; return their nodes."""
        nodes: Nodes = {}

        def make(get_or_build: GetOrBuild) -> Artifact:
            made = {name: self._shard(get_or_build, *results) for name, results in pending.items()}
            nodes.update({name: node for name, (node, _) in made.items()})
            return [artifact for _, artifact in made.values()][-1]

        if pending:
            publish_all(self._home, make)
        return nodes

    def everything(
        self,
        previous: Tree | None,
        changes: Mapping[str, Json | None],
        pending: Mapping[str, ShardChecks],
        duplicates: DuplicatePairs,
        after: Callable[[Artifact], Sequence[Move]],
    ) -> Artifact:
        """Publish the last shards, all changed groups, and the whole.

        Args:
            previous: the previous shards, if the set is cut as before.
            changes: nodes of changed shards, None for removed ones.
            pending: shards that are not yet published, by name.
            duplicates: pairs of near-duplicates.
            after: returns the moves that follow the publication.
        """
        cuts = cuts_for(len(self._snapshot))
        recordings = self._snapshot.artifact.ref.digest
        key = inputs(self._task, self._snapshot.artifact.ref)

        def make(get_or_build: GetOrBuild) -> Artifact:
            made = {
                name: self._shard(get_or_build, *results)[0] for name, results in pending.items()
            }
            group = partial(self._group, get_or_build)
            nodes = amended(previous, cuts, {**changes, **made}, group)

            def build(folder: Path) -> Json:
                about = {"recordings": recordings, "set": self._snapshot.set}
                write_json(folder / EPISODES, {**about, **listed(cuts, nodes)})
                merged = self._merge_nodes(nodes)
                return to_json_value(describe(self._task, folder, merged, duplicates))

            return get_or_build(STAGE, self._task.name, key, build)

        return publish_all(self._home, make, after)

    def _shard(
        self, get_or_build: GetOrBuild, shard: Shard, schema: list[CheckResult]
    ) -> tuple[Json, Artifact]:
        read = [[one.recording, one.name, one.read, one.released] for one in shard.recordings]
        key = {"recordings": digest(read), "rules": self._rules}
        cut = cuts_for(len(self._snapshot)) > 0
        artifact = make_shard(get_or_build, self._task, key, shard, schema, cut=cut)
        return self._node(artifact), artifact

    def _group(self, get_or_build: GetOrBuild, name: str, nodes: Nodes) -> Json:
        parts = {part: node["ref"]["digest"] for part, node in nodes.items()}

        def build(folder: Path) -> Json:
            write_json(folder / EPISODES, listed(cuts_for(len(self._snapshot)), nodes, name))
            return to_json_value(merge.bounded(self._merge_nodes(nodes)))

        key = {"parts": parts, "version": VERSION}
        return self._node(get_or_build(GROUP, self._task.name, key, build))

    def _merge_nodes(self, nodes: Nodes) -> PartSummary:
        refs = [ArtifactRef.from_json(node["ref"]) for node in nodes.values()]
        return merge.merge_parts([self._summaries.get(ref) or self._read(ref) for ref in refs])

    def _read(self, ref: ArtifactRef) -> PartSummary:
        path = self._home.root / ref.path
        return from_json_value(summary_of(self._home, ref), PartSummary, path)

    def _node(self, artifact: Artifact) -> Json:
        summary = from_json_value(artifact.summary, PartSummary, Path(artifact.ref.path))
        self._summaries[artifact.ref] = summary
        counts = {key: getattr(summary, key) for key in merge.COUNTS}
        return {"ref": artifact.ref.to_json(), **counts}
