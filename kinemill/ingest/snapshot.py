"""The snapshot of a task's recordings: published in shards, so that one more rewrites one of them.

Snapshot and shards are outcomes like any other. An entry is `{"hash", "name", "ref", "tracks",
"rows", "dropped_rows", "reasons"}`, the last four numbers, and `"released": true` where a person
let the recording through.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from kinemill.home import Home
from kinemill.shards import digits_for, grouped, totals
from kinemill.store import (
    SUMMARY,
    Json,
    Outcome,
    Ref,
    digest,
    once,
    open_ref,
    read_json,
    write_json,
)

VERSION = 3
STAGE, SHARD = "recordings", "recordings_shard"
SNAPSHOT, ENTRIES = "recordings.json", "entries.json"
NUMBERS = ("recordings", "quarantined", "tracks", "rows", "dropped_rows")


class Snapshot:
    """A published snapshot; entries are read from the shards that are asked for, each once.

    Raises:
        CorruptArtifact: the snapshot, or a shard when it is asked for, is damaged.
    """

    def __init__(self, home: Home, ref: Ref) -> None:
        folder = open_ref(home, ref)
        found = read_json(folder / SNAPSHOT)
        self.outcome = Outcome(ref, read_json(folder / SUMMARY), known=True)
        self.digits: int = found["digits"]
        self.shards: dict[str, Json] = found["shards"]
        self.shard = cache(self._shard)
        self._home = home

    def _shard(self, name: str) -> list[Json]:
        if name not in self.shards:
            return []
        return read_json(open_ref(self._home, Ref.from_json(self.shards[name]["ref"])) / ENTRIES)

    def __len__(self) -> int:
        return sum(shard["recordings"] for shard in self.shards.values())

    def __iter__(self) -> Iterator[Json]:
        """Yield the entries, sorted by hash, reading one shard after the other."""
        for name in sorted(self.shards):
            yield from self._shard(name)

    def find(self, hash_: str) -> Json | None:
        """Return the entry of a recording, or None."""
        shard = self.shard(hash_[: self.digits])
        return next((entry for entry in shard if entry["hash"] == hash_), None)


def entry_of(hash_: str, name: str, outcome: Outcome, *, released: bool) -> Json:
    """Return the entry of one recording."""
    summary = outcome.summary
    entry = {
        "hash": hash_,
        "name": name,
        "ref": outcome.ref.to_json(),
        "tracks": len(summary["tracks"]),
        "rows": summary["rows"],
        "dropped_rows": summary["dropped_rows"],
        "reasons": len(summary["reasons"]),
    }
    return entry | ({"released": True} if released else {})


def publish(home: Home, task: str, entries: Iterable[Json]) -> Outcome:
    """Publish the snapshot of these recordings."""
    listed = list(entries)
    digits = digits_for(len(listed))
    shards = {
        name: _publish_shard(home, task, shard) for name, shard in grouped(listed, digits).items()
    }
    return _publish(home, task, digits, shards)


def amend(
    home: Home, task: str, before: Snapshot, changes: Mapping[str, Json | None]
) -> Outcome | None:
    """Publish what a snapshot becomes, writing only the shards that change.

    Args:
        home: where snapshots are kept.
        task: name of the task.
        before: the snapshot that changes.
        changes: new entries by hash, None for recordings that are not in it, or leave it.

    Returns:
        the snapshot, the same one if nothing changes; None if nothing is left in it.
    """
    changes = {hash_: entry for hash_, entry in changes.items() if before.find(hash_) != entry}
    if not changes:
        return before.outcome
    digits = before.digits
    touched = {hash_[:digits] for hash_ in changes}
    kept = {name: shard for name, shard in before.shards.items() if name not in touched}
    amended = {name: _amended(before.shard(name), name, changes) for name in sorted(touched)}
    count = sum(shard["recordings"] for shard in kept.values())
    count += sum(len(entries) for entries in amended.values())
    if count and digits_for(count) != digits:
        entries = [entry for name in kept for entry in before.shard(name)]
        return publish(home, task, [*entries, *(one for each in amended.values() for one in each)])
    written = {name: _publish_shard(home, task, each) for name, each in amended.items() if each}
    return _publish(home, task, digits, kept | written) if count else None


def _amended(shard: list[Json], name: str, changes: Mapping[str, Json | None]) -> list[Json]:
    """Return the entries of one shard after the changes, sorted by hash."""
    entries: dict[str, Json | None] = {entry["hash"]: entry for entry in shard}
    entries |= {hash_: entry for hash_, entry in changes.items() if hash_.startswith(name)}
    return [entry for _, entry in sorted(entries.items()) if entry]


def _publish_shard(home: Home, task: str, entries: list[Json]) -> Json:
    def build(folder: Path) -> Json:
        write_json(folder / ENTRIES, entries)
        return {
            "recordings": len(entries),
            "quarantined": sum(not entry["tracks"] for entry in entries),
            **totals(entries, ("tracks", "rows", "dropped_rows")),
        }

    inputs = {"version": VERSION, "entries": digest(entries)}
    outcome = once(home, SHARD, task, inputs, build)
    return {"ref": outcome.ref.to_json(), **outcome.summary}


def _publish(home: Home, task: str, digits: int, shards: dict[str, Json]) -> Outcome:
    def build(folder: Path) -> Json:
        ordered = {name: shards[name] for name in sorted(shards)}
        write_json(folder / SNAPSHOT, {"digits": digits, "shards": ordered})
        return totals(shards.values(), NUMBERS)

    refs = {name: shard["ref"]["digest"] for name, shard in shards.items()}
    return once(home, STAGE, task, {"version": VERSION, "digits": digits, "shards": refs}, build)
