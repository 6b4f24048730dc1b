"""The published episodes: shards under groups under one outcome, each saying what is below it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kinemill.ingest.snapshot import Snapshot
from kinemill.store import Artifact, ArtifactRef, summary_of, write_json
from kinemill.store.atomic_write import Move
from kinemill.store.home import Home
from kinemill.store.shards import Nodes, Tree, amended, listed
from kinemill.store.transaction import GetOrBuild, publish_all
from kinemill.task import Task
from kinemill.validate import merge
from kinemill.validate.check_results import CheckResult
from kinemill.validate.duplicates.registry import DuplicatePairs
from kinemill.validate.episodes import rules
from kinemill.validate.previous_snapshot import EPISODES, VERSION, inputs
from kinemill.validate.shard_results import Shard, make_shard
from kinemill.validate.summary import describe

STAGE, GROUP = "episodes", "episodes_group"

Json = dict[str, Any]
ShardChecks = tuple[Shard, list[CheckResult]]  # a shard, and what Great Expectations said about it


class Publisher:
    """The publishing of what was judged of the recordings of a snapshot."""

    def __init__(self, task: Task, home: Home, snapshot: Snapshot) -> None:
        self._task, self._home, self._snapshot = task, home, snapshot
        self._rules = rules(task)
        self._summaries: dict[ArtifactRef, Json] = {}  # of what was just made

    def shards(self, pending: Mapping[str, ShardChecks]) -> Nodes:
        """Publish shards by name; return their nodes."""
        nodes: Nodes = {}

        def make(get_or_build: GetOrBuild) -> Artifact:
            made = [self._shard(get_or_build, name, *results) for name, results in pending.items()]
            nodes.update({name: node for name, (node, _) in zip(pending, made, strict=True)})
            return made[-1][1]

        if pending:
            publish_all(self._home, make)
        return nodes

    def everything(
        self,
        previous: Tree | None,
        changes: Mapping[str, Json | None],
        pending: Mapping[str, ShardChecks],
        repeats: DuplicatePairs,
        after: Callable[[Artifact], Sequence[Move]],
    ) -> Artifact:
        """Publish the last shards and what has changed above all of them.

        Args:
            previous: the shards as they were, cut as often.
            changes: nodes of the shards that have changed, None for those that are no more.
            pending: shards that are still to be published, by name.
            repeats: the pairs of recordings that are the same run.
            after: says what is to follow.
        """
        cuts = self._snapshot.tree.cuts
        recordings = self._snapshot.artifact.ref.digest
        key = inputs(self._task, self._snapshot.artifact.ref)

        def make(get_or_build: GetOrBuild) -> Artifact:
            made = {
                name: self._shard(get_or_build, name, *results)[0]
                for name, results in pending.items()
            }
            group = partial(self._group, get_or_build)
            nodes = amended(previous, cuts, {**changes, **made}, group)

            def build(folder: Path) -> Json:
                write_json(folder / EPISODES, {"recordings": recordings, **listed(cuts, nodes)})
                return describe(self._task, folder, self._merge_nodes(nodes), repeats)

            return get_or_build(STAGE, self._task.name, key, build)

        return publish_all(self._home, make, after)

    def _shard(
        self, get_or_build: GetOrBuild, name: str, shard: Shard, schema: list[CheckResult]
    ) -> tuple[Json, Artifact]:
        made_of, cut = self._snapshot.known_by(name), self._snapshot.tree.cuts > 0
        key = {"recordings": made_of, "rules": self._rules}
        artifact = make_shard(get_or_build, self._task, key, shard, schema, cut=cut)
        return self._node(made_of, artifact), artifact

    def _group(self, get_or_build: GetOrBuild, name: str, nodes: Nodes) -> Json:
        made_of = self._snapshot.known_by(name)
        key = {"recordings": made_of, "rules": self._rules, "version": VERSION}

        def build(folder: Path) -> Json:
            write_json(folder / EPISODES, listed(self._snapshot.tree.cuts, nodes, name))
            return merge.bounded(self._merge_nodes(nodes))

        return self._node(made_of, get_or_build(GROUP, self._task.name, key, build))

    def _merge_nodes(self, nodes: Nodes) -> Json:
        refs = [ArtifactRef.from_json(node["ref"]) for node in nodes.values()]
        cached = self._summaries
        return merge.merge_parts([cached.get(ref) or summary_of(self._home, ref) for ref in refs])

    def _node(self, made_of: str, artifact: Artifact) -> Json:
        self._summaries[artifact.ref] = artifact.summary
        counts = {key: artifact.summary[key] for key in (*merge.COUNTS, "sketches")}
        return {"recordings_digest": made_of, "ref": artifact.ref.to_json(), **counts}
