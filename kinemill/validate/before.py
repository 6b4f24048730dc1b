"""What was judged before: the snapshot of episodes published last, and its shards.

`store/index/<task>/episodes.json` names it, a cache: without it every recording is looked at.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from kinemill.errors import CorruptArtifact
from kinemill.home import Home
from kinemill.ingest.index import load_index
from kinemill.ingest.recordings import reading_rules
from kinemill.ingest.snapshot import Snapshot
from kinemill.spec import Task
from kinemill.store import (
    SUMMARY,
    Outcome,
    Ref,
    digest,
    index_path,
    open_ref,
    publish_json,
    read_json,
)
from kinemill.validate import table
from kinemill.validate.episodes import rules
from kinemill.validate.judged import open_shard

VERSION = 3  # of the published episodes
EPISODES = "episodes.json"
FORMAT = 1

Json = dict[str, Any]


@dataclass(frozen=True)
class Before:
    """What was published last, by the same rules: shards by name, as `episodes.json` has them."""

    recordings: str
    digits: int
    shards: Mapping[str, Json]
    outcome: Outcome


def keep(home: Home, task: str, by: str, outcome: Outcome) -> None:
    """Note what was published last, and by which rules."""
    document = {"format": FORMAT, "rules": by, "snapshot": outcome.ref.to_json()}
    publish_json(index_path(home, task, EPISODES), document)


def last_shards(task: Task, home: Home) -> dict[str, Json] | None:
    """Return the shards of the episodes published last by name, each with its `ref` and counts.

    None if they were made by other rules or from other recordings than the task has now.
    """
    before, index = find_before(home, task.name, made_by(task)), load_index(home, task.name)
    if before is None or index is None or index[0].rules != digest(reading_rules(task)):
        return None
    return dict(before.shards) if index[0].snapshot.digest == before.recordings else None


def made_by(task: Task) -> str:
    """Return a digest of all of the task that the published episodes and checks follow from."""
    share = task.validation.max_quarantined_share
    return digest({"rules": rules(task), "max_quarantined_share": share, "version": VERSION})


def find_before(home: Home, task: str, made_by: str) -> Before | None:
    """Return what was published last; None if that is lost, or was made by other rules."""
    try:
        found = read_json(index_path(home, task, EPISODES))
        if found["format"] != FORMAT or found["rules"] != made_by:
            return None
        ref = Ref.from_json(found["snapshot"])
        folder = open_ref(home, ref)
        listed = read_json(folder / EPISODES)
        outcome = Outcome(ref, read_json(folder / SUMMARY), known=True)
        return Before(listed["recordings"], listed["digits"], listed["shards"], outcome)
    except (FileNotFoundError, CorruptArtifact, KeyError, TypeError):
        return None  # it is only a cache


class Old:
    """What was judged before of the recordings in shards that have changed.

    Attributes:
        changed: entries of the recordings in shards that have changed, by shard.
        same: shards of episodes that stay as they are.
        gone: hashes of the recordings that have left.
        sketches: number of sketches of all recordings that stay.
    """

    def __init__(self, home: Home, before: Before | None, snapshot: Snapshot) -> None:
        shards = before.shards if before else {}
        again = before is not None and before.digits != snapshot.digits
        self.changed = {
            name: snapshot.shard(name)
            for name, shard in snapshot.shards.items()
            if again or _made_of(shards.get(name)) != shard["ref"]["digest"]
        }
        self.same = {n: shards[n] for n in snapshot.shards if n not in self.changed}
        opened = [
            open_shard(home, Ref.from_json(shard["ref"]))
            for name, shard in shards.items()
            if name not in self.same
        ]
        self._items = {item["recording"]: item for shard in opened for item in shard.recordings}
        self._rows = [shard.table for shard in opened]
        stay = {entry["hash"] for entries in self.changed.values() for entry in entries}
        self.gone = frozenset(set(self._items) - stay)
        left = sum(self._items[hash_]["sketches"] for hash_ in self.gone)
        self.sketches = sum(shard["sketches"] for shard in shards.values()) - left

    def find(self, entry: Json) -> Json | None:
        """Return what is kept of a recording, if it was read and decided as it is now."""
        found = self._items.get(entry["hash"])
        if found is None or found["read"] != entry["ref"]["digest"]:
            return None
        return found if found.get("released") == entry.get("released") else None

    def rows(self, task: Task, items: Iterable[Json]) -> pl.DataFrame:
        """Return one row for each episode of recordings that were found."""
        ids = [episode["id"] for item in items for episode in item["episodes"]]
        rows = pl.concat([table.empty(task), *self._rows])
        return rows.filter(pl.col("episode").is_in(ids))


def _made_of(shard: Json | None) -> str | None:
    return shard["recordings_digest"] if shard else None
