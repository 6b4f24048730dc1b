"""The published episodes: shards under groups under one outcome, each saying what is below it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kinemill.home import Home
from kinemill.ingest.snapshot import Snapshot
from kinemill.shards import Nodes, Tree, amended, listed
from kinemill.spec import Task
from kinemill.store import Outcome, Ref, once, summary_of, write_json
from kinemill.validate import merging
from kinemill.validate.before import EPISODES, VERSION
from kinemill.validate.checks import CheckResult
from kinemill.validate.describing import describe
from kinemill.validate.episodes import rules
from kinemill.validate.judged import Shard, publish_shard
from kinemill.validate.noting import Repeats

STAGE, GROUP = "episodes", "episodes_group"

Json = dict[str, Any]


class Publishing:
    """The publishing of what was judged of the recordings of a snapshot."""

    def __init__(self, task: Task, home: Home, snapshot: Snapshot) -> None:
        self._task, self._home, self._snapshot = task, home, snapshot
        self._asked = rules(task)

    def shard(self, name: str, shard: Shard, schema: list[CheckResult]) -> Json:
        """Publish a shard with what Great Expectations said about it; return its node."""
        made_of, digits = self._snapshot.known_by(name), self._snapshot.tree.digits
        inputs = {"recordings": made_of, "rules": self._asked}
        outcome = publish_shard(self._task, self._home, inputs, shard, schema, digits)
        return self._node(made_of, outcome)

    def everything(
        self, before: Tree | None, changes: Mapping[str, Json | None], repeats: Repeats
    ) -> Outcome:
        """Publish what has changed above the shards.

        Args:
            before: the shards as they were, cut by as many digits.
            changes: nodes of the shards that have changed, None for those that are no more.
            repeats: the pairs of recordings that are the same run.
        """
        digits = self._snapshot.tree.digits
        nodes = amended(before, digits, changes, self._group)
        recordings = self._snapshot.outcome.ref.digest
        share = self._task.validation.max_quarantined_share
        inputs = {
            "recordings": recordings,
            "rules": self._asked,
            "max_quarantined_share": share,
            "version": VERSION,
        }

        def build(folder: Path) -> Json:
            write_json(folder / EPISODES, {"recordings": recordings, **listed(digits, nodes)})
            return describe(self._task, folder, self._together(nodes), repeats)

        return once(self._home, STAGE, self._task.name, inputs, build)

    def _group(self, name: str, nodes: Nodes) -> Json:
        made_of = self._snapshot.known_by(name)
        inputs = {"recordings": made_of, "rules": self._asked, "version": VERSION}

        def build(folder: Path) -> Json:
            write_json(folder / EPISODES, listed(self._snapshot.tree.digits, nodes, name))
            return merging.bounded(self._together(nodes))

        return self._node(made_of, once(self._home, GROUP, self._task.name, inputs, build))

    def _together(self, nodes: Nodes) -> Json:
        refs = (Ref.from_json(node["ref"]) for node in nodes.values())
        return merging.together([summary_of(self._home, ref) for ref in refs])

    def _node(self, made_of: str, outcome: Outcome) -> Json:
        counts = {key: outcome.summary[key] for key in (*merging.COUNTS, "sketches")}
        return {"recordings_digest": made_of, "ref": outcome.ref.to_json(), **counts}
