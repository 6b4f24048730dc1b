"""All recordings of a task: judged one by one, kept in shards, shown and checked together.

A shard of recordings that is as it was before is not looked at again, and of one that has changed
only the recordings that are new are judged. So one recording more costs its own judging and the
writing of one shard, whatever the number of recordings.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import polars as pl

from kinemill.errors import CorruptArtifact
from kinemill.ingest.recordings import open_recording
from kinemill.ingest.snapshot import Snapshot
from kinemill.parallel import in_groups
from kinemill.store import (
    Artifact,
    ArtifactRef,
    open_ref,
    publish_staged,
    read_json,
)
from kinemill.store.atomic_write import Move
from kinemill.store.fault_injection import fault_point
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.protocols import NullReporter, Progress
from kinemill.validate import merge
from kinemill.validate.check_results import CheckResult
from kinemill.validate.duplicates.index import Sketched
from kinemill.validate.duplicates.registry import Repeats, note_twins
from kinemill.validate.episodes import Episode, rules
from kinemill.validate.previous_snapshot import (
    Before,
    Old,
    find_before,
    made_by,
    note_last,
    shards_of,
)
from kinemill.validate.publish import Asked, Publishing
from kinemill.validate.shard_results import (
    Judged,
    Shard,
    episodes_of,
    judge_recording,
    open_shard,
    read_judged,
    rows_of,
    sketches_of,
)
from kinemill.validate.summary import CHECKS

BATCH = 4096  # recordings whose findings are in memory

Json = dict[str, Any]


def validate(
    task: Task, home: Home, recordings: ArtifactRef, progress: Progress | None = None
) -> Artifact:
    """Judge every recording that is new and publish the episodes that can be learned from.

    A failing blocking check does not keep the outcome from being published: it holds the page that
    says why. Whoever calls decides by `load_checks`.

    Args:
        task: channels, limits and the `validate` part.
        home: where outcomes are kept.
        recordings: snapshot of recordings, published by ingest.
        progress: told after every recording that is judged.

    Returns:
        the published episodes, checks and page; known when nothing has changed.
    """
    by = made_by(task)
    before = find_before(home, task.name, by)
    if before and before.recordings == recordings.digest:
        return before.outcome
    validating = _Validating(task, home, progress or NullReporter(), by)
    try:
        outcome = validating.run(recordings, before)
    except CorruptArtifact:
        if before is None:
            raise
        outcome = validating.run(recordings, None)  # which makes anew what is not whole
    fault_point("validate.published")
    return outcome


def load_episodes(home: Home, ref: ArtifactRef) -> list[Episode]:
    """Return the accepted episodes; the bytes of each are checked when they are read."""

    @cache  # episodes of one recording share a folder
    def opened(where: ArtifactRef) -> Path:
        return open_ref(home, where)

    def episode(item: Json) -> Episode:
        about = (item["id"], item["recording"], item["name"], item["rows"], item["file"])
        where = ArtifactRef.from_json(item["ref"])
        return Episode(*about, partial(opened, where), where.digest, item.get("part", ""))

    return [episode(entry) for entry in list_episodes(home, ref)]


def list_episodes(home: Home, ref: ArtifactRef) -> Iterator[Json]:
    """Yield the accepted episodes as a dataset knows them, sorted by id, one shard after the other.

    Each is `{"id", "recording", "name", "rows", "ref", "file"}`, with `part` where it is of one.
    """
    for shard in shards_of(home, ref):
        for item in read_judged(home, shard):
            yield from episodes_of(item)


def load_table(home: Home, ref: ArtifactRef) -> pl.DataFrame:
    """Return one row an accepted episode, with the columns of `kinemill.validate.table`."""
    return pl.concat([open_shard(home, shard).table for shard in shards_of(home, ref)])


def load_checks(home: Home, ref: ArtifactRef) -> list[CheckResult]:
    """Return the results of every check, blocking ones first."""
    return [CheckResult(**item) for item in read_json(open_ref(home, ref) / CHECKS)]


def _batches(shards: Mapping[str, list[Json]]) -> Iterator[dict[str, list[Json]]]:
    """Yield shards of recordings, so many at a time that what is found in them fits into memory."""
    batch: dict[str, list[Json]] = {}
    for name in sorted(shards):
        batch[name] = shards[name]
        if sum(len(each) for each in batch.values()) >= BATCH:
            yield batch
            batch = {}
    if batch:
        yield batch


def _judge_entry(task: Task, home: Home, asked: Json, entry: Json) -> Judged:
    return judge_recording(task, home, open_recording(home, entry), asked)


class _Validating:
    """One validation of a task's recordings."""

    def __init__(self, task: Task, home: Home, progress: Progress, by: str) -> None:
        self._task, self._home, self._progress, self._by = task, home, progress, by
        self._asked = rules(task)

    def run(self, recordings: ArtifactRef, before: Before | None) -> Artifact:
        """Judge what is new in the snapshot, and publish."""
        snapshot = Snapshot(self._home, recordings)
        old = Old(self._home, before, snapshot)
        entries = (entry for each in old.changed.values() for entry in each)
        self._left = self._total = sum(old.find(entry) is None for entry in entries)
        repeats: Repeats | None = None
        publishing = Publishing(self._task, self._home, snapshot)
        published: dict[str, Json | None] = dict.fromkeys(old.left)
        found: dict[str, Asked] = {}  # in one batch, the last
        for batch in _batches(old.changed):
            new = [entry for each in batch.values() for entry in each if old.find(entry) is None]
            judged = self._judge(new)
            shards = {name: self._shard(each, judged, old) for name, each in batch.items()}
            asked = {name: shard.asked_of_schema for name, shard in shards.items()}
            asked = {name: rows for name, rows in asked.items() if not rows.is_empty()}
            # One after the other: at once they would wait for the interpreter by turns.
            repeats = self._note(judged.values(), before, old)
            schema = merge.schema_of(self._task, asked)
            published |= publishing.shards(found)
            found = {name: (shard, schema.get(name, [])) for name, shard in shards.items()}
        repeats = repeats or self._note([], before, old)

        def after(outcome: Artifact) -> list[Move]:
            return [note_last(self._home, self._task.name, self._by, outcome)]

        return publishing.everything(old.tree, published, found, repeats, after)

    def _judge(self, entries: list[Json]) -> dict[str, Judged]:
        """Judge recordings, and publish what is found in groups."""
        work = partial(_judge_entry, self._task, self._home, self._asked)
        columns = len(self._task.columns)
        judged: dict[str, Judged] = {}
        for group, each in in_groups(work, entries, lambda entry: 8 * columns * entry["rows"]):
            found = list[Judged]()
            for entry, one in zip(group, each, strict=True):
                found.append(one)
                self._left -= 1
                note = f"{entry['name']}: {len(one.item['episodes'])} episodes"
                done = self._total - self._left
                self._progress.advance("validate", done, self._total, note)
            publish_staged(self._home, [one.staged for one in found if one.staged])
            judged |= {entry["hash"]: one for entry, one in zip(group, found, strict=True)}
        return judged

    def _shard(self, entries: list[Json], judged: Mapping[str, Judged], old: Old) -> Shard:
        known = {e["hash"]: item for e in entries if (item := old.find(e))}
        items = known | {e["hash"]: judged[e["hash"]].item for e in entries if e["hash"] in judged}
        new = rows_of(self._task, (judged[e["hash"]] for e in entries if e["hash"] in judged))
        rows = pl.concat([old.rows(self._task, known.values()), new])
        return Shard([items[entry["hash"]] for entry in entries], rows.sort("episode"))

    def _note(self, judged: Iterable[Judged], before: Before | None, old: Old) -> Repeats:
        """Note which of the recordings that were just judged repeat others."""
        new = [sketched for item in judged for sketched in item.sketches]

        def known() -> Iterator[Sketched]:
            for shard in shards_of(self._home, before.outcome.ref) if before else ():
                for item in read_judged(self._home, shard):
                    if item["recording"] not in old.gone:
                        yield from sketches_of(self._home, item)

        return note_twins(self._task, self._home, new, known, total=old.sketches, gone=old.gone)
