"""Snapshot of a task's recordings: an artifact that names a set of entries in the catalog.

The artifact holds the digest and the totals of the set, so it costs the same for any number of
recordings. A snapshot of some recordings, such as those of one partition, lists its entries itself.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

from kinemill import catalog
from kinemill.catalog import CatalogEntry, CatalogHead, RecordingSet, Totals
from kinemill.errors import CorruptArtifact
from kinemill.ingest.recording_summary import RecordingSummary
from kinemill.store import (
    SUMMARY,
    Artifact,
    ArtifactRef,
    Json,
    get_or_build,
    open_ref,
    read_document,
    read_json,
    write_document,
    write_json,
)
from kinemill.store.home import Home

VERSION = 4
STAGE = "recordings"
SNAPSHOT = "recordings.json"
ENTRIES = "entries.json"


class Snapshot:
    """A published snapshot; entries are read on demand.

    Attributes:
        set: digest of the set of its entries.

    Raises:
        CorruptArtifact: The artifact is damaged, or on demand, the catalog does not hold the set.
    """

    def __init__(self, home: Home, ref: ArtifactRef) -> None:
        self._home = home
        self._task = Path(ref.path).parts[-2]
        self._folder = open_ref(home, ref)
        self.artifact = Artifact(ref, read_json(self._folder / SUMMARY), cached=True)
        self.set: str = read_json(self._folder / SNAPSHOT)["set"]

    @cached_property
    def _listed(self) -> dict[str, CatalogEntry] | None:
        """The entries that the artifact lists itself, by hash; None if they are in the catalog."""
        path = self._folder / ENTRIES
        if not path.is_file():
            return None
        return {entry.hash: entry for entry in read_document(path, list[CatalogEntry])}

    @cached_property
    def _stored(self) -> RecordingSet:
        change = catalog.change_of(self._home, self._task, self.set)
        if change is None:
            raise CorruptArtifact(
                self._home.root / self.artifact.ref.path,
                "names a set of recordings that the catalog does not hold any more",
                fix=f"ingest again: kinemill data ingest {self._task}",
            )
        return RecordingSet(self._home, self._task, change)

    def __len__(self) -> int:
        return self.artifact.summary["recordings"]

    def __iter__(self) -> Iterator[CatalogEntry]:
        """Yield the entries, sorted by hash."""
        return iter(self._stored) if self._listed is None else iter(self._listed.values())

    def find_all(self, hashes: Iterable[str]) -> dict[str, CatalogEntry]:
        """Return the entries of some recordings that have one, by hash."""
        if self._listed is None:
            return self._stored.find_all(hashes)
        return {hash_: self._listed[hash_] for hash_ in hashes if hash_ in self._listed}

    def changed_since(self, set_: str) -> set[str] | None:
        """Return the hashes of the entries that differ from an earlier set; None if unknown."""
        if self._listed is not None:
            return None
        change = catalog.change_of(self._home, self._task, set_)
        return None if change is None else self._stored.changed_since(change)


def entry_of(hash_: str, name: str, artifact: Artifact, *, released: bool) -> CatalogEntry:
    """Return the entry of one recording."""
    summary = RecordingSummary.of(artifact)
    return CatalogEntry(
        hash_,
        name,
        artifact.ref,
        len(summary.tracks),
        summary.rows,
        summary.dropped_rows,
        len(summary.reasons),
        released,
    )


def publish(home: Home, task: str, head: CatalogHead) -> Artifact:
    """Publish the snapshot of all recordings after the last change of a task."""
    return _publish(home, task, head.set, head.totals)


def publish_subset(home: Home, task: str, entries: Iterable[CatalogEntry]) -> Artifact:
    """Publish a snapshot of some recordings, which lists them."""
    listed = sorted(entries, key=lambda entry: entry.hash)
    set_ = catalog.set_digest_of(listed)
    totals = catalog.totals_of(listed)
    return _publish(home, task, set_, totals, listed)


def _publish(
    home: Home, task: str, set_: str, totals: Totals, listed: list[CatalogEntry] | None = None
) -> Artifact:
    def build(folder: Path) -> Json:
        write_json(folder / SNAPSHOT, {"set": set_})
        if listed is not None:
            write_document(folder / ENTRIES, listed)
        return asdict(totals)

    inputs = {"version": VERSION, "set": set_, "listed": listed is not None}
    return get_or_build(home, STAGE, task, inputs, build)
