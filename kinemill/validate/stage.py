"""All recordings of a task: judged one by one, kept in shards, shown and checked together.

A shard of recordings that is as it was before is not looked at again, and of one that has changed
only the recordings that are new are judged. So one recording more costs its own judging and the
writing of one shard, whatever the number of recordings.
"""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import polars as pl

from kinemill.errors import CorruptArtifact
from kinemill.faultpoints import fault_point
from kinemill.home import Home
from kinemill.ingest.index import load_index
from kinemill.ingest.recordings import open_recording, reading_rules
from kinemill.ingest.snapshot import Snapshot
from kinemill.spec import Task
from kinemill.spec.ports import Progress, Silence
from kinemill.store import (
    SUMMARY,
    Outcome,
    Ref,
    digest,
    index_path,
    once,
    open_ref,
    publish_json,
    publish_staged,
    read_json,
    summary_of,
    write_json,
)
from kinemill.validate import merging, page, table
from kinemill.validate.checks import CheckResult
from kinemill.validate.episodes import Episode, rules
from kinemill.validate.judged import (
    Judged,
    Shard,
    episodes_of,
    judge_recording,
    open_shard,
    publish_shard,
    read_judged,
    sketches_of,
)
from kinemill.validate.noting import Repeats, note_twins
from kinemill.validate.twin_index import Sketched

STAGE, VERSION = "episodes", 3
EPISODES, CHECKS, QUARANTINE = "episodes.json", "checks.json", "quarantine.json"
QUARANTINED = 200  # recordings listed with their reasons
FORMAT = 1
WORKERS = 4  # recordings in memory at a time
GROUP, BATCH = 64, 4096  # recordings published together; those whose findings are in memory

Json = dict[str, Any]


@dataclass(frozen=True)
class _Before:
    """What was published last, by the same rules: shards by name, as `episodes.json` has them."""

    recordings: str
    digits: int
    shards: Mapping[str, Json]
    outcome: Outcome


def validate(task: Task, home: Home, recordings: Ref, progress: Progress | None = None) -> Outcome:
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
    made_by = _made_by(task)
    before = _before(home, task.name, made_by)
    if before and before.recordings == recordings.digest:
        return before.outcome
    outcome = _Validating(task, home, progress or Silence()).run(recordings, before)
    fault_point("validate.published")
    document = {"format": FORMAT, "rules": made_by, "snapshot": outcome.ref.to_json()}
    publish_json(index_path(home, task.name, EPISODES), document)
    return outcome


def load_episodes(home: Home, ref: Ref) -> list[Episode]:
    """Return the accepted episodes; the bytes of each are checked when they are read."""

    @cache  # episodes of one recording share a folder
    def opened(where: Ref) -> Path:
        return open_ref(home, where)

    def episode(item: Json) -> Episode:
        about = (item["id"], item["recording"], item["name"], item["rows"], item["file"])
        folder = partial(opened, Ref.from_json(item["ref"]))
        return Episode(*about, folder, item.get("part", ""))

    return [episode(entry) for entry in list_episodes(home, ref)]


def list_episodes(home: Home, ref: Ref) -> Iterator[Json]:
    """Yield the accepted episodes as a dataset knows them, sorted by id, one shard after the other.

    Each is `{"id", "recording", "name", "rows", "ref", "file"}`, with `part` where it is of one.
    """
    for shard in _shards(home, ref):
        for item in read_judged(home, shard):
            yield from episodes_of(item)


def load_table(home: Home, ref: Ref) -> pl.DataFrame:
    """Return one row an accepted episode, with the columns of `kinemill.validate.table`."""
    return pl.concat([open_shard(home, shard).table for shard in _shards(home, ref)])


def load_checks(home: Home, ref: Ref) -> list[CheckResult]:
    """Return the results of every check, blocking ones first."""
    return [CheckResult(**item) for item in read_json(open_ref(home, ref) / CHECKS)]


def _shards(home: Home, ref: Ref) -> Iterator[Ref]:
    listed = read_json(open_ref(home, ref) / EPISODES)["shards"]
    for name in sorted(listed):
        yield Ref.from_json(listed[name]["ref"])


def last_shards(task: Task, home: Home) -> dict[str, Json] | None:
    """Return the shards of the episodes published last by name, each with its `ref` and counts.

    None if they were made by other rules or from other recordings than the task has now.
    """
    before, index = _before(home, task.name, _made_by(task)), load_index(home, task.name)
    if before is None or index is None or index[0].rules != digest(reading_rules(task)):
        return None
    return dict(before.shards) if index[0].snapshot.digest == before.recordings else None


def _made_by(task: Task) -> str:
    """Return a digest of all of the task that the published episodes and checks follow from."""
    share = task.validation.max_quarantined_share
    return digest({"rules": rules(task), "max_quarantined_share": share, "version": VERSION})


def _before(home: Home, task: str, made_by: str) -> _Before | None:
    """Return what was published last; None if that is lost, or was made by other rules."""
    try:
        found = read_json(index_path(home, task, EPISODES))
        if found["format"] != FORMAT or found["rules"] != made_by:
            return None
        ref = Ref.from_json(found["snapshot"])
        folder = open_ref(home, ref)
        listed = read_json(folder / EPISODES)
        outcome = Outcome(ref, read_json(folder / SUMMARY), known=True)
        return _Before(listed["recordings"], listed["digits"], listed["shards"], outcome)
    except (FileNotFoundError, CorruptArtifact, KeyError, TypeError):
        return None  # it is only a cache


class _Old:
    """What was judged before of the recordings in shards that have changed.

    Attributes:
        changed: entries of the recordings in shards that have changed, by shard.
        same: shards of episodes that stay as they are.
        gone: hashes of the recordings that have left.
        sketches: number of sketches of all recordings that stay.
    """

    def __init__(self, home: Home, before: _Before | None, snapshot: Snapshot) -> None:
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


class _Validating:
    """One validation of a task's recordings."""

    def __init__(self, task: Task, home: Home, progress: Progress) -> None:
        self._task, self._home, self._progress = task, home, progress
        self._asked = rules(task)

    def run(self, recordings: Ref, before: _Before | None) -> Outcome:
        """Judge what is new in the snapshot, and publish."""
        snapshot = Snapshot(self._home, recordings)
        old = _Old(self._home, before, snapshot)
        entries = (entry for each in old.changed.values() for entry in each)
        self._left = self._total = sum(old.find(entry) is None for entry in entries)
        repeats = self._note([], before, old)
        published: dict[str, Json] = {}
        for batch in _batches(old.changed):
            new = [entry for each in batch.values() for entry in each if old.find(entry) is None]
            judged = self._judge(new)
            repeats = self._note(judged.values(), before, old)
            shards = {name: self._shard(each, judged, old) for name, each in batch.items()}
            asked = {name: shard.asked_of_schema for name, shard in shards.items()}
            schema = merging.schema_of(
                self._task, {name: rows for name, rows in asked.items() if not rows.is_empty()}
            )
            for name, shard in shards.items():
                published[name] = self._publish(snapshot, name, shard, schema.get(name, []))
        return self._root(snapshot, old.same | published, repeats)

    def _judge(self, entries: list[Json]) -> dict[str, Judged]:
        """Judge recordings, a few at a time: polars, numpy and hashing release the GIL."""

        def one(entry: Json) -> Judged:
            recording = open_recording(self._home, entry)
            return judge_recording(self._task, self._home, recording, self._asked)

        judged: dict[str, Judged] = {}
        pool = ThreadPoolExecutor(WORKERS)
        try:
            for first in range(0, len(entries), GROUP):
                group, found = entries[first : first + GROUP], list[Judged]()
                for entry, each in zip(group, pool.map(one, group), strict=True):
                    found.append(each)
                    self._left -= 1
                    note = f"{entry['name']}: {len(each.item['episodes'])} episodes"
                    done = self._total - self._left
                    self._progress.advance("validate", done, self._total, note)
                publish_staged(self._home, [each.staged for each in found if each.staged])
                judged |= {entry["hash"]: each for entry, each in zip(group, found, strict=True)}
        finally:
            pool.shutdown(cancel_futures=True)
        return judged

    def _shard(self, entries: list[Json], judged: Mapping[str, Judged], old: _Old) -> Shard:
        known = {e["hash"]: item for e in entries if (item := old.find(e))}
        items = known | {e["hash"]: judged[e["hash"]].item for e in entries if e["hash"] in judged}
        new = (judged[e["hash"]].rows(self._task) for e in entries if e["hash"] in judged)
        rows = pl.concat([old.rows(self._task, known.values()), *new])
        return Shard([items[entry["hash"]] for entry in entries], rows.sort("episode"))

    def _note(self, judged: Iterable[Judged], before: _Before | None, old: _Old) -> Repeats:
        """Note which of the recordings that were just judged repeat others."""
        new = [sketched for item in judged for sketched in item.sketches]

        def known() -> Iterator[Sketched]:
            for shard in before.shards.values() if before else ():
                for item in read_judged(self._home, Ref.from_json(shard["ref"])):
                    if item["recording"] not in old.gone:
                        yield from sketches_of(self._home, item)

        return note_twins(self._task, self._home, new, known, total=old.sketches, gone=old.gone)

    def _publish(
        self, snapshot: Snapshot, name: str, shard: Shard, schema: list[CheckResult]
    ) -> Json:
        made_of = snapshot.shards[name]["ref"]["digest"]
        inputs = {"recordings": made_of, "rules": self._asked}
        found = publish_shard(self._task, self._home, inputs, shard, schema, snapshot.digits)
        counts = {key: found.summary[key] for key in (*merging.COUNTS, "sketches")}
        return {"recordings_digest": made_of, "ref": found.ref.to_json(), **counts}

    def _root(self, snapshot: Snapshot, shards: Mapping[str, Json], repeats: Repeats) -> Outcome:
        ordered = {name: shards[name] for name in sorted(shards)}
        recordings = snapshot.outcome.ref.digest
        share = self._task.validation.max_quarantined_share
        inputs = {
            "recordings": recordings,
            "rules": self._asked,
            "max_quarantined_share": share,
            "version": VERSION,
        }

        def build(folder: Path) -> Json:
            listed = {"recordings": recordings, "digits": snapshot.digits, "shards": ordered}
            write_json(folder / EPISODES, listed)
            return _describe(self._task, self._home, folder, list(ordered.values()), repeats)

        return once(self._home, STAGE, self._task.name, inputs, build)


def _describe(task: Task, home: Home, folder: Path, shards: list[Json], repeats: Repeats) -> Json:
    """Write checks, quarantine and page over all shards; return the summary."""
    parts = [summary_of(home, Ref.from_json(shard["ref"])) for shard in shards]
    counts = merging.counted(parts)
    checks = merging.checks_of(task, parts, counts, repeats)
    shown = list(_faulty_first(home, shards, QUARANTINED))
    write_json(folder / CHECKS, [check.to_json() for check in checks])
    quarantined = [item for item in shown if not item["episodes"]]
    write_json(folder / QUARANTINE, [_with_reasons(item) for item in quarantined])
    answers = [
        {"name": check.name, "passed": check.passed, "blocking": check.blocking} for check in checks
    ]
    summary = {**counts, "checks": answers}
    drawn = [page.Drawn(_with_reasons(item), item["strip"]) for item in shown]
    bars = [part["ranges"] for part in parts]
    (folder / "page.html").write_text(page.render(task, summary, checks, bars, drawn))
    return summary


def _faulty_first(home: Home, shards: list[Json], most: int) -> Iterator[Json]:
    """Yield judged recordings, at most so many: those with reasons first, then some others."""
    left, sound = most, list[Json]()
    for shard in sorted(shards, key=lambda item: not item["faulty"]):
        if left <= 0 or (not shard["faulty"] and len(sound) >= left):
            break
        for item in read_judged(home, Ref.from_json(shard["ref"])):
            if item["reasons"] and left > 0:
                left -= 1
                yield item
            elif not item["reasons"] and len(sound) < most:
                sound.append(item)
    yield from sound[: max(left, 0)]


def _with_reasons(item: Json) -> Json:
    return {key: item[key] for key in ("recording", "name", "reasons")}
